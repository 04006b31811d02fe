/*
 * The text of a presence delta, as it is published on roost:p:{TOPIC}:
 *
 *	{"v":1,"node":N,"epoch":E,"from":F,"to":T,"joins":{KEY:{"metas":[META…]}},"leaves":{KEY:[REF…]},
 *	 "linger":{KEY:[REF…]},"empty":true}
 *
 * What lingers stands in `joins`, too. Empty members are left out; unknown ones are skipped.
 */
#ifndef PRESENCE_DELTA_H
#define PRESENCE_DELTA_H

#include "base/buf.h"
#include "presence/items.h"

#define DELTA_VERSION	1
#define DELTA_MAX_TEXT	(16 * 1024 * 1024)	/* a longer message is not looked at */

/* One that was read; to be emptied with delta_done(). Texts borrow what was read, or `scratch`. */
struct delta {
	struct slice		node;
	uint64_t		epoch;
	struct presence_delta	change;		/* its arrays are those below */
	struct presence_items	put;
	struct presence_items	gone;
	struct presence_items	linger;
	struct buf		scratch;
};

/* Adds the text; the presences in any order. */
void delta_write(struct buf *out, struct slice node, uint64_t epoch, const struct presence_delta *);
/*
 * Reads one of any origin. 0; -EMSGSIZE; -EPROTONOSUPPORT for a newer version; -EBADMSG for anything else
 * that is no delta; then *why is static text for the log. delta_done() in either case.
 */
int delta_read(struct delta *, struct slice text, const char **why);
void delta_done(struct delta *);

#endif
