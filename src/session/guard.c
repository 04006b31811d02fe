/*
 * Guards: entries are taken apart once, and looked at for each join.
 */
#include "session/guard.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "session/routes.h"
#include "wire/json.h"

enum guard_kind { GUARD_USER, GUARD_ANYONE, GUARD_IS, GUARD_CONTAINS, GUARD_HAS };

struct guard_entry {
	enum guard_kind	kind;
	char	       *name;		/* of the claim, as it was written */
	char	       *value;		/* captures still in it */
};

/* Any one suffices; none lets nobody in. */
struct guard {
	unsigned	   n;
	struct guard_entry entries[];
};

/* Reading an entry. */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct slice
trimmed(struct slice text)
{
	while (text.n > 0 && is_blank(text.p[0]))
		text = slice_from(text, 1);
	while (text.n > 0 && is_blank(text.p[text.n - 1]))
		text.n--;
	return text;
}

/* Takes a word from the front, and the blanks behind it. */
static struct slice
take_word(struct slice *text)
{
	struct slice word = { text->p, 0 };

	while (word.n < text->n && !is_blank(text->p[word.n]))
		word.n++;
	*text = trimmed(slice_from(*text, word.n));
	return word;
}

/* The name of the capture at the front of `text`, which begins with "{"; p == NULL if nothing closes it. */
static struct slice
capture_at(struct slice text)
{
	const char *end = memchr(text.p, '}', text.n);

	return end != NULL ? slice(text.p + 1, (size_t)(end - text.p) - 1) : slice(NULL, 0);
}

/* Does the pattern have it? A final star is called "*". */
static bool
pattern_has(const char *pattern, struct slice name)
{
	const size_t n = strlen(pattern);

	for (const char *at = strchr(pattern, '{'); at != NULL; at = strchr(at + 1, '{'))
		if (slice_eq(capture_at(slice_str(at)), name))
			return true;
	return slice_is(name, "*") && n > 0 && pattern[n - 1] == '*';
}

static const char *
value_fault(const char *pattern, struct slice value)
{
	if (value.n == 0)
		return "lacks a value";
	for (size_t at = 0; at < value.n; at++) {
		struct slice name;

		if (value.p[at] != '{')
			continue;
		name = capture_at(slice_from(value, at));
		if (name.n == 0)
			return "has a \"{\" without name and \"}\"";
		if (!pattern_has(pattern, name) && !slice_is(name, "user"))
			return "names a capture that the pattern has not";
		at += name.n + 1;
	}
	return NULL;
}

/* "..", or a dot at an end, leads nowhere; "=" belongs between blanks, and captures into values. */
static const char *
name_fault(struct slice name)
{
	if (name.n == 0)
		return "lacks the name of a claim";
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '=')
			return "has a \"=\" without blanks around it";
		if (name.p[i] == '{')
			return "has a capture in the name of a claim";
		if (name.p[i] == '.' && (i == 0 || i + 1 == name.n || name.p[i - 1] == '.'))
			return "has a claim's name with nothing before or behind a dot";
	}
	return NULL;
}

/* Behind "claim". Returns what is wrong, NULL = nothing. */
static const char *
read_claim(struct guard_entry *e, const char *pattern, struct slice text)
{
	struct slice name = take_word(&text), verb = take_word(&text);
	const char  *fault = name_fault(name);

	if (fault != NULL)
		return fault;
	e->kind = GUARD_HAS;
	e->name = xstrndup(name.p, name.n);
	if (verb.n == 0)
		return NULL;
	if (slice_is(verb, "="))
		e->kind = GUARD_IS;
	else if (slice_is(verb, "contains"))
		e->kind = GUARD_CONTAINS;
	else
		return "has neither \"=\" nor \"contains\" behind the name of a claim";
	e->value = xstrndup(text.p, text.n);
	return value_fault(pattern, text);
}

static const char *
read_entry(struct guard_entry *e, const char *pattern, struct slice text)
{
	struct slice word;

	text = trimmed(text);
	word = take_word(&text);
	if (slice_is(word, "claim"))
		return read_claim(e, pattern, text);
	if (slice_is(word, "user"))
		e->kind = GUARD_USER;
	else if (slice_is(word, "anyone"))
		e->kind = GUARD_ANYONE;
	else
		return "begins with none of \"user\", \"anyone\" and \"claim\"";
	return text.n > 0 ? "has more than one word" : NULL;
}

struct guard *
guard_new(const char *pattern, const char *const *entries, char **why)
{
	struct guard *g;
	unsigned      n = 0;

	while (entries[n] != NULL)
		n++;
	g = xcalloc(1, sizeof(*g) + n * sizeof(g->entries[0]));
	for (; g->n < n; g->n++) {
		const char *fault = read_entry(&g->entries[g->n], pattern, slice_str(entries[g->n]));

		if (fault == NULL)
			continue;
		*why = xasprintf("allow entry \"%s\" %s", entries[g->n], fault);
		g->n++;
		return guard_free(g);
	}
	return g;
}

struct guard *
guard_free(struct guard *g)
{
	if (g == NULL)
		return NULL;
	for (unsigned i = 0; i < g->n; i++) {
		free(g->entries[i].name);
		free(g->entries[i].value);
	}
	free(g);
	return NULL;
}

/* Looking at a client. */

/* A claim of that very name; else its dots lead into objects. */
static struct slice
find_claim(struct slice claims, const char *name)
{
	struct slice   at = json_member(claims, name);
	autofree char *path = NULL;
	char	      *part, *dot;

	if (at.p != NULL)
		return at;
	path = xstrdup(name);
	at = claims;
	for (part = path; part != NULL && at.p != NULL; part = dot != NULL ? dot + 1 : NULL) {
		dot = strchr(part, '.');
		if (dot != NULL)
			*dot = '\0';
		at = at.p[0] == '{' ? json_member(at, part) : slice(NULL, 0);
	}
	return at;
}

/* The value with its captures put in. False if one of them stands for nothing, as {user} does for the anonymous. */
static bool
expand(const char *value, const struct guard_case *c, struct buf *out)
{
	struct slice rest = slice_str(value);

	while (rest.n > 0) {
		struct slice   name = rest.p[0] == '{' ? capture_at(rest) : slice(NULL, 0), text = c->user;
		autofree char *called = NULL;

		if (name.p == NULL) {
			buf_add_char(out, rest.p[0]);
			rest = slice_from(rest, 1);
			continue;
		}
		called = xstrndup(name.p, name.n);
		/* A capture of the name "user" is what the topic says, not who the client is. */
		if (pattern_has(c->pattern, name))
			route_match(c->pattern, c->topic, called, &text);
		if (text.n == 0)
			return false;
		buf_add_slice(out, text);
		rest = slice_from(rest, name.n + 2);
	}
	return true;
}

/* The text of a string token, in scratch where it has escapes; p == NULL for what is no string, or no text. */
static struct slice
token_text(struct slice token, struct buf *scratch)
{
	struct slice text;

	if (token.p[0] != '"' || json_text(token, buf_room(scratch, token.n), token.n, &text) < 0)
		return slice(NULL, 0);
	return text;
}

/* A text, number or boolean that is this, as it is written. */
static bool
token_is(struct slice token, struct slice value)
{
	autobuf struct buf scratch = { 0 };

	if (token.p[0] == '"')
		return slice_eq(token_text(token, &scratch), value);
	return token.p[0] != '{' && token.p[0] != '[' && token.p[0] != 'n' && slice_eq(token, value);
}

static bool
list_has(struct slice list, struct slice value)
{
	struct slice   element;
	enum json_kind kind;

	if (!json_take(&list, '['))
		return false;
	while (json_take_value(&list, &element, &kind) == 0) {
		if (token_is(element, value))
			return true;
		if (!json_take(&list, ','))
			return false;
	}
	return false;
}

static bool
words_have(struct slice text, struct slice value)
{
	for (text = trimmed(text); text.n > 0;)
		if (slice_eq(take_word(&text), value))
			return true;
	return false;
}

static bool
token_contains(struct slice token, struct slice value)
{
	autobuf struct buf scratch = { 0 };

	if (token.p[0] == '"')
		return words_have(token_text(token, &scratch), value);
	return list_has(token, value);
}

static bool
claim_allows(const struct guard_entry *e, const struct guard_case *c)
{
	const struct slice token = find_claim(c->claims, e->name);
	autobuf struct buf value = { 0 };

	if (token.p == NULL)
		return false;
	if (e->kind == GUARD_HAS)
		return !slice_is(token, "false") && !slice_is(token, "null");
	if (!expand(e->value, c, &value))
		return false;
	return e->kind == GUARD_IS ? token_is(token, buf_slice(&value)) : token_contains(token, buf_slice(&value));
}

static bool
entry_allows(const struct guard_entry *e, const struct guard_case *c)
{
	switch (e->kind) {
	case GUARD_ANYONE:
		return true;
	case GUARD_USER:
		return c->user.n > 0;
	default:
		return claim_allows(e, c);
	}
}

bool
guard_allows(const struct guard *g, const struct guard_case *c)
{
	for (unsigned i = 0; i < g->n; i++)
		if (entry_allows(&g->entries[i], c))
			return true;
	return false;
}
