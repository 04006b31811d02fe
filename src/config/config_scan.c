/*
 * Prepares a configuration file for libconfuse, which knows the options but reads carelessly: version 3.3
 * miscounts lines behind comments, takes a section without its end, drops characters that it does not
 * know, puts environment variables in place of ${NAME}, and after a string without its end reads the next
 * file as the rest of that string. It has no form for `rate "EVENT" = N/PERIOD` either.
 *
 * So the text is divided into tokens here, and written again without comments, with every value in quotes,
 * each rate as a section `rate "EVENT" { value = "N/PERIOD" }`, and each token on the line where it stood.
 */
#include <ctype.h>
#include <errno.h>

#include "base/mem.h"
#include "config/config_internal.h"

#define MAX_DEPTH	4	/* sections in sections */

enum token { END, WORD, STRING, OPEN = '{', CLOSE = '}', EQUALS = '=', COMMA = ',' };

struct scan {
	const char	*file;
	struct slice	 text;
	size_t		 at;
	unsigned	 line;
	enum token	 token;		/* the one just read */
	struct buf	 value;		/* of a WORD or STRING; ends with a NUL that is not counted */
	bool		 is_rate;	/* in the statement `rate "EVENT" = …` */
	struct buf	 name;		/* of the statement, as value */
	unsigned	 secret_line;	/* its words are not repeated in messages */
	unsigned	 opened[MAX_DEPTH];	/* the lines of the sections around us */
	unsigned	 depth;
	struct buf	*out;
	char		**why;
};

/* What may come next. Each state is a function of the token: the state that follows, or -EINVAL. */
enum state { STATEMENT, NAME, TITLE, VALUE, ELEMENT, COMMA_OR_END, DONE };

static int
fail_at(struct scan *s, unsigned line, const char *text)
{
	*s->why = xasprintf("%s:%u: %s", s->file, line, text);
	return -EINVAL;
}

static int
fail(struct scan *s, const char *text)
{
	return fail_at(s, s->line, text);
}

/* "expected X, got Y" */
static int
fail_expected(struct scan *s, const char *expected)
{
	autofree char *shown = NULL;
	autofree char *text = NULL;

	if (s->line == s->secret_line)
		return fail(s, "expected a secret alone: it needs quotes if it has blanks or one of { } = , # in it");
	if (s->token == WORD || s->token == STRING)
		shown = config_shown(s->value.p, s->value.n);
	else if (s->token != END)
		shown = xasprintf("%c", s->token);
	text = xasprintf("expected %s, got %s%s%s", expected, shown != NULL ? "'" : "",
	    shown != NULL ? shown : "the end of the file", shown != NULL ? "'" : "");
	return fail(s, text);
}

/* The character `ahead` of the next one; '\0' behind the end. */
static char
peek(const struct scan *s, size_t ahead)
{
	return s->at + ahead < s->text.n ? s->text.p[s->at + ahead] : '\0';
}

/* Line ends are copied, so that lines keep their numbers. */
static void
skip(struct scan *s)
{
	if (peek(s, 0) == '\n') {
		s->line++;
		buf_add_char(s->out, '\n');
	}
	s->at++;
}

static void
skip_line(struct scan *s)
{
	while (s->at < s->text.n && peek(s, 0) != '\n')
		s->at++;
}

static int
skip_comment(struct scan *s)
{
	unsigned began = s->line;

	for (s->at += 2; s->at < s->text.n; skip(s)) {
		if (peek(s, 0) != '*' || peek(s, 1) != '/')
			continue;
		s->at += 2;
		return 0;
	}
	return fail_at(s, began, "this comment has no end");
}

/* Skips spaces and comments. */
static int
skip_space(struct scan *s)
{
	int r;

	while (s->at < s->text.n) {
		char c = peek(s, 0);

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			skip(s);
		} else if (c == '#' || (c == '/' && peek(s, 1) == '/')) {
			skip_line(s);
		} else if (c == '/' && peek(s, 1) == '*') {
			r = skip_comment(s);
			if (r < 0)
				return r;
		} else {
			return 0;
		}
	}
	return 0;
}

/* In double quotes a backslash stands before a quote or a backslash; in single quotes it may. */
static int
read_escape(struct scan *s, char quote)
{
	char next = peek(s, 1);

	if (next == quote || next == '\\')
		s->at++;
	else if (quote == '"')
		return fail(s, "expected \\\" or \\\\ behind this backslash: single quotes take it as it is");
	return 0;
}

static int
read_string(struct scan *s)
{
	char quote = peek(s, 0);

	for (s->at++; peek(s, 0) != quote; s->at++) {
		char c = peek(s, 0);
		int  r;

		if (s->at >= s->text.n || c == '\n')
			return fail(s, "this string has no end on its line");
		if ((unsigned char)c < ' ' || c == 0x7f)
			return fail(s, "a control character in a string");
		r = c == '\\' ? read_escape(s, quote) : 0;
		if (r < 0)
			return r;
		buf_add_char(&s->value, peek(s, 0));
	}
	s->at++;
	return STRING;
}

static bool
in_word(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && strchr("{}=,#\"'", c) == NULL;
}

static int
read_word(struct scan *s)
{
	while (s->at < s->text.n && in_word(peek(s, 0)))
		buf_add_char(&s->value, s->text.p[s->at++]);
	return s->value.n > 0 ? WORD : fail(s, "a control character");
}

/* The next token, or -EINVAL. */
static int
read_token(struct scan *s)
{
	char c;
	int  r;

	s->value.n = 0;
	r = skip_space(s);
	if (r < 0)
		return r;
	if (s->at >= s->text.n)
		return END;
	c = peek(s, 0);
	if (c == '"' || c == '\'')
		return read_string(s);
	if (c == '\0' || strchr("{}=,", c) == NULL)
		return read_word(s);
	s->at++;
	return c;
}

static void
put(struct scan *s, const char *text)
{
	buf_add_str(s->out, text);
	buf_add_char(s->out, ' ');
}

/* Quoted for libconfuse: "\$" keeps it from reading a variable. */
static void
put_value(struct scan *s)
{
	buf_add_char(s->out, '"');
	for (size_t i = 0; i < s->value.n; i++) {
		if (strchr("\"\\$", s->value.p[i]) != NULL)
			buf_add_char(s->out, '\\');
		buf_add_char(s->out, s->value.p[i]);
	}
	put(s, "\"");
}

/* The name of an option or section: libconfuse gives others a meaning. */
static int
begin_statement(struct scan *s)
{
	for (size_t i = 0; i < s->value.n; i++)
		if (!isalnum((unsigned char)s->value.p[i]) && strchr("_.-", s->value.p[i]) == NULL)
			return fail_expected(s, "the name of an option or section");
	s->name.n = 0;
	buf_add(&s->name, s->value.p, s->value.n + 1);
	s->is_rate = strcmp(s->name.p, "rate") == 0;
	put(s, s->name.p);
	return NAME;
}

static int
in_statement(struct scan *s)
{
	switch (s->token) {
	case WORD:
		return begin_statement(s);
	case CLOSE:
		if (s->depth == 0)
			return fail(s, "this } closes nothing");
		s->depth--;
		put(s, "}");
		return STATEMENT;
	case END:
		if (s->depth > 0)
			return fail_at(s, s->opened[s->depth - 1], "this section has no end: } is missing");
		return DONE;
	default:
		return fail_expected(s, "the name of an option or section");
	}
}

static int
open_section(struct scan *s)
{
	if (s->depth == MAX_DEPTH)
		return fail(s, "sections do not nest so deep");
	s->opened[s->depth++] = s->line;
	put(s, "{");
	return STATEMENT;
}

static int
after_name(struct scan *s)
{
	autofree char *expected = NULL;

	if (s->token == WORD || s->token == STRING) {
		put_value(s);
		return TITLE;
	}
	if (s->is_rate)
		return fail_expected(s, "rate \"EVENT\" = N/PERIOD");
	if (s->token == OPEN)
		return open_section(s);
	if (s->token == EQUALS) {
		put(s, "=");
		return VALUE;
	}
	expected = xasprintf("= or { behind '%s'", s->name.p);
	return fail_expected(s, expected);
}

static int
after_title(struct scan *s)
{
	int r;

	if (s->is_rate && s->token == EQUALS) {
		put(s, "{ value =");
		return VALUE;
	}
	if (s->is_rate)
		return fail_expected(s, "= N/PERIOD behind the event");
	if (s->token != OPEN)
		return fail_expected(s, "{ behind a title");
	r = open_section(s);
	if (r < 0)
		return r;
	buf_addf(s->out, CONFIG_LINE " = %u ", s->line);
	return r;
}

static int
in_value(struct scan *s)
{
	if (s->token == OPEN && !s->is_rate) {
		put(s, "{");
		return ELEMENT;
	}
	if (s->token != WORD && s->token != STRING)
		return fail_expected(s, "a value");
	if (strcmp(s->name.p, "secret") == 0)
		s->secret_line = s->line;
	put_value(s);
	if (s->is_rate)
		put(s, "}");
	return STATEMENT;
}

static int
end_list(struct scan *s)
{
	put(s, "}");
	return STATEMENT;
}

static int
in_list(struct scan *s)
{
	if (s->token == CLOSE)
		return end_list(s);
	if (s->token != WORD && s->token != STRING)
		return fail_expected(s, "a value or } in this list");
	put_value(s);
	return COMMA_OR_END;
}

static int
after_element(struct scan *s)
{
	if (s->token == CLOSE)
		return end_list(s);
	if (s->token != COMMA)
		return fail_expected(s, "a comma or } in this list");
	put(s, ",");
	return ELEMENT;
}

static int (*const states[])(struct scan *) = {
	[STATEMENT] = in_statement,
	[NAME] = after_name,
	[TITLE] = after_title,
	[VALUE] = in_value,
	[ELEMENT] = in_list,
	[COMMA_OR_END] = after_element,
};

static int
scan_all(struct scan *s)
{
	int state = STATEMENT;

	while (state != DONE) {
		int token = read_token(s);

		if (token < 0)
			return token;
		*buf_room(&s->value, 1) = '\0';
		s->token = (enum token)token;
		state = states[state](s);
		if (state < 0)
			return state;
	}
	return 0;
}

int
config_scan(const char *file, struct slice text, struct buf *out, char **why)
{
	struct scan s = { .file = file, .text = text, .line = 1, .out = out, .why = why };
	int	    r;

	r = scan_all(&s);
	buf_done(&s.value);
	buf_done(&s.name);
	return r;
}
