/*
 * The log: one line per event, as text or as JSON, with the peer it is about. It never blocks and never
 * fails: a line that cannot be written now is dropped and counted, and the count is told when lines can be
 * written again.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum log_level { LOG_ERROR_, LOG_WARN_, LOG_INFO_, LOG_DEBUG_ };

struct log_options {
	enum log_level	 level;		/* lines above it are not written */
	bool		 json;
	const char	*file;		/* NULL or "" = standard error; copied */
};

/*
 * Opens the file for append (O_NOFOLLOW, 0640). Returns 0 or -errno, and then the log goes on where it went
 * before.
 */
int log_open(const struct log_options *);
/* Opens the same file again, after rotation. Returns 0 or -errno, as log_open(). */
int log_reopen(void);
/*
 * For root: a log file of its own becomes that user's, who is to open it again; now, and whenever it is
 * opened. Returns 0 or -errno.
 */
int log_give(uid_t, gid_t);
void log_close(void);
bool log_wants(enum log_level);
/* Lines dropped so far. */
uint64_t log_dropped(void);

/*
 * Writes one line. `peer` may be NULL. Control characters, invalid UTF-8 and (in JSON) quotes are escaped, so
 * a client's text cannot forge a line or drive a terminal; a line is cut at 1024 bytes. Text:
 * "2026-01-02T03:04:05.678Z warn [127.0.0.1:5000] text". JSON: {"time","level","peer","msg"}.
 */
void log_line(enum log_level, const char *peer, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define log_error(...)	log_line(LOG_ERROR_, NULL, __VA_ARGS__)
#define log_warn(...)	log_line(LOG_WARN_, NULL, __VA_ARGS__)
#define log_info(...)	log_line(LOG_INFO_, NULL, __VA_ARGS__)
#define log_debug(...)	do { if (log_wants(LOG_DEBUG_)) log_line(LOG_DEBUG_, NULL, __VA_ARGS__); } while (0)

/*
 * What clients cause: at most LOG_BURST lines a second from one place in the code; the next one tells how
 * many were left out.
 */
#define LOG_BURST	10
struct log_limit {
	uint64_t	second;
	unsigned	said;
	unsigned	left_out;
};
/* True if a line may be written now; *left_out = lines suppressed since the last one that was. */
bool log_allowed(struct log_limit *, uint64_t now_ms, unsigned *left_out);
void log_limited(struct log_limit *, enum log_level, const char *peer, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#define log_peer(level, peer, ...) do { \
	static struct log_limit limit_; \
	if (log_wants(level)) \
		log_limited(&limit_, level, peer, __VA_ARGS__); \
} while (0)

#endif
