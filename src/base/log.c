/*
 * A line is composed in one place on the stack and written by one write(2), so lines of several processes do not
 * mix. What is not plain text is escaped on the way in.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/slice.h"
#include "base/stats.h"

#define LOG_LINE_MAX	1024		/* without the newline */
#define PEER_MAX	256		/* as it is shown */
#define ELLIPSIS	"..."
#define NOT_UTF8	0x110000	/* above all code points */

static struct {
	enum log_level	 level;
	bool		 json;
	char		*file;		/* NULL = standard error */
	int		 fd;
	bool		 polls;		/* a write to it might block */
	bool		 torn;		/* what we wrote last does not end a line */
	uid_t		 user;		/* whose a file of root becomes; 0 = it stays */
	gid_t		 group;
	uint64_t	 dropped;
	uint64_t	 untold;	/* those of them that no line has told of yet */
} logger = { .level = LOG_INFO_, .fd = STDERR_FILENO, .polls = true };

/* A line in the making. The place before it is for the newline that a torn line lacks. */
struct line {
	char	 lead;
	char	 text[LOG_LINE_MAX + 1];
	size_t	 n;
};

static bool
log_may_block(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || !S_ISREG(st.st_mode);
}

/* Lines go to `fd` from now on; takes `file`. */
static void
log_switch(int fd, char *file)
{
	if (logger.file != NULL)
		close(logger.fd);
	free(logger.file);
	logger.file = file;
	logger.fd = fd;
	logger.polls = log_may_block(fd);
	logger.torn = false;
}

/* What somebody else owns, or is no file, is as it is on purpose. */
static int
log_give_file(int fd)
{
	struct stat st;

	if (logger.user == 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || fchown(fd, logger.user, logger.group) == 0)
		return 0;
	return -errno;
}

static int
log_open_file(const char *file)
{
	int fd, r;

	/* O_NONBLOCK, as a FIFO may stand there; a regular file does not mind. */
	fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	if (fd < 0)
		return -errno;
	r = log_give_file(fd);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

int
log_open(const struct log_options *o)
{
	bool to_file = o->file != NULL && o->file[0] != '\0';
	int  fd = to_file ? log_open_file(o->file) : STDERR_FILENO;

	if (fd < 0)
		return fd;
	log_switch(fd, to_file ? xstrdup(o->file) : NULL);
	logger.level = o->level;
	logger.json = o->json;
	return 0;
}

int
log_reopen(void)
{
	int fd;

	if (logger.file == NULL)
		return 0;
	fd = log_open_file(logger.file);
	if (fd < 0)
		return fd;
	log_switch(fd, xstrdup(logger.file));
	return 0;
}

int
log_give(uid_t user, gid_t group)
{
	logger.user = user;
	logger.group = group;
	return logger.file != NULL ? log_give_file(logger.fd) : 0;
}

void
log_close(void)
{
	log_switch(STDERR_FILENO, NULL);
}

bool
log_wants(enum log_level level)
{
	return level <= logger.level;
}

uint64_t
log_dropped(void)
{
	return logger.dropped;
}

/* How long the character that begins with this byte says it is; 0 if none begins so. */
static size_t
utf8_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc0)
		return 0;
	if (first < 0xe0)
		return 2;
	if (first < 0xf0)
		return 3;
	return first < 0xf8 ? 4 : 0;
}

/* The first character of `s`, which is not empty: returns its length and its code, or 1 and NOT_UTF8. */
static size_t
utf8_first(struct slice s, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char  *p = (const unsigned char *)s.p;
	size_t		      len = utf8_length(p[0]);
	uint32_t	      c = len > 1 ? p[0] & (0x7fU >> len) : p[0];

	*code = NOT_UTF8;
	if (len == 0 || len > s.n)
		return 1;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 1;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[len] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 1;
	*code = c;
	return len;
}

/* Neither a control character (C0, DEL, C1), nor one that ends a line or turns the direction of text. */
static bool
is_plain(uint32_t code)
{
	if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == NOT_UTF8)
		return false;
	return !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069);
}

#define SHOWN_MAX 20	/* "\xe2\x80\xa8" and its NUL, with room to spare */

/* Takes a character off the front of `s` and writes it as the log shows it; returns how long that is. */
static size_t
take_shown(struct slice *s, char out[SHOWN_MAX])
{
	const char *p = s->p;
	uint32_t    code;
	size_t	    len = utf8_first(*s, &code), n = 0;

	*s = slice_from(*s, len);
	if (logger.json && (code == '"' || code == '\\'))
		out[n++] = '\\';
	if (is_plain(code)) {
		memcpy(out + n, p, len);
		return n + len;
	}
	if (logger.json)
		return (size_t)snprintf(out, SHOWN_MAX, "\\u%04x", code == NOT_UTF8 ? 0xfffd : code);
	for (size_t i = 0; i < len; i++)
		n += (size_t)snprintf(out + n, SHOWN_MAX - n, "\\x%02x", (unsigned char)p[i]);
	return n;
}

/* Adds what is known to fit. */
static void
line_add(struct line *l, const char *s)
{
	size_t n = strlen(s);

	memcpy(l->text + l->n, s, n);
	l->n += n;
}

/* Adds text of any origin and length; the line ends before `end`, which leaves room for an ellipsis at least. */
static void
line_add_shown(struct line *l, struct slice s, size_t end)
{
	size_t cut = l->n;	/* the last place where an ellipsis fits */

	while (s.n > 0) {
		char   shown[SHOWN_MAX];
		size_t len = take_shown(&s, shown);

		if (l->n + len > end) {
			l->n = cut;
			line_add(l, ELLIPSIS);
			return;
		}
		memcpy(l->text + l->n, shown, len);
		l->n += len;
		if (l->n + strlen(ELLIPSIS) <= end)
			cut = l->n;
	}
}

static void
line_add_head(struct line *l, enum log_level level, const char *peer)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	char			 now[CLOCK_ISO_LEN];

	line_add(l, logger.json ? "{\"time\":\"" : "");
	line_add(l, clock_iso(wall_ms(), now));
	line_add(l, logger.json ? "\",\"level\":\"" : " ");
	line_add(l, names[level]);
	if (peer != NULL) {
		line_add(l, logger.json ? "\",\"peer\":\"" : " [");
		line_add_shown(l, slice_str(peer), l->n + PEER_MAX);
		line_add(l, logger.json ? "" : "]");
	}
	line_add(l, logger.json ? "\",\"msg\":\"" : " ");
}

static void
line_compose(struct line *l, enum log_level level, const char *peer, const char *text, unsigned left_out)
{
	char tail[64] = "";

	if (left_out > 0)
		snprintf(tail, sizeof(tail), " (and %u like it left out)", left_out);
	l->n = 0;
	line_add_head(l, level, peer);
	line_add_shown(l, slice_str(text), LOG_LINE_MAX - strlen(tail) - strlen("\"}"));
	line_add(l, tail);
	line_add(l, logger.json ? "\"}\n" : "\n");
}

/* A pipe whose reader has gone counts as not writable: there would be a signal. */
static bool
log_is_writable(void)
{
	struct pollfd p = { .fd = logger.fd, .events = POLLOUT };

	return !logger.polls || (poll(&p, 1, 0) == 1 && p.revents == POLLOUT);
}

/* Returns whether the whole line was written. */
static bool
line_write(struct line *l)
{
	const char *p = logger.torn ? &l->lead : l->text;
	size_t	    len = l->n + logger.torn;
	ssize_t     n;

	l->lead = '\n';
	if (!log_is_writable())
		return false;
	n = write(logger.fd, p, len);
	if (n > 0)
		logger.torn = p[n - 1] != '\n';
	return n == (ssize_t)len;
}

/* Tells how many lines were dropped, if any were; false if that cannot be written either. */
static bool
log_tell_dropped(void)
{
	char	    text[64];
	struct line l;

	if (logger.untold == 0)
		return true;
	snprintf(text, sizeof(text), "%" PRIu64 " log lines could not be written", logger.untold);
	line_compose(&l, LOG_WARN_, NULL, text, 0);
	if (!line_write(&l))
		return false;
	logger.untold = 0;
	return true;
}

static void __attribute__((format(printf, 4, 0)))
log_write(enum log_level level, const char *peer, unsigned left_out, const char *fmt, va_list ap)
{
	const int   saved = errno;
	char	    text[LOG_LINE_MAX + 1];	/* if it is cut here, the line is too */
	struct line l;

	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		snprintf(text, sizeof(text), "%s", fmt);
	line_compose(&l, level, peer, text, left_out);
	if (!log_tell_dropped() || !line_write(&l)) {
		logger.dropped++;
		logger.untold++;
		stats->log_dropped_total++;
	}
	errno = saved;
}

void
log_line(enum log_level level, const char *peer, const char *fmt, ...)
{
	va_list ap;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	log_write(level, peer, 0, fmt, ap);
	va_end(ap);
}

bool
log_allowed(struct log_limit *l, uint64_t now_ms, unsigned *left_out)
{
	if (l->second != now_ms / 1000)
		*l = (struct log_limit){ .second = now_ms / 1000, .left_out = l->left_out };
	if (l->said >= LOG_BURST) {
		l->left_out++;
		return false;
	}
	l->said++;
	*left_out = l->left_out;
	l->left_out = 0;
	return true;
}

void
log_limited(struct log_limit *limit, enum log_level level, const char *peer, const char *fmt, ...)
{
	va_list  ap;
	unsigned left_out;

	if (!log_wants(level) || !log_allowed(limit, clock_ms(), &left_out))
		return;
	va_start(ap, fmt);
	log_write(level, peer, left_out, fmt, ap);
	va_end(ap);
}
