/*
 * Inquiries: ours that wait for answers.
 */
#include "backplane/inquiry.h"

#include <errno.h>
#include <stdlib.h>

#include "base/id.h"
#include "base/mem.h"
#include "wire/json.h"

struct inquiry {
	struct list			 in_asked;
	struct timer			 deadline;
	char				 id[ID_LEN + 1];
	struct buf			 asked;		/* nodes, each with a NUL behind it */
	struct buf			 heard;		/* those that have answered */
	unsigned			 n_asked;
	unsigned			 silent;	/* of these: have not answered */
	const struct inquiry_user	*user;
	void				*arg;
};

static void
inquiry_free(struct inquiry *q)
{
	list_remove(&q->in_asked);
	timer_stop(&q->deadline);
	buf_done(&q->asked);
	buf_done(&q->heard);
	free(q);
}

static void
inquiry_end(struct inquiry *q)
{
	const struct inquiry_user *user = q->user;
	unsigned		   silent = q->silent < q->n_asked ? q->silent : INQUIRY_NOBODY;
	void			  *arg = q->arg;

	inquiry_free(q);
	user->on_end(arg, silent);
}

static void
inquiry_expire(struct timer *t, uint64_t now)
{
	inquiry_end(container_of(t, struct inquiry, deadline));
}

void
inquiries_init(struct inquiries *all, struct loop *loop)
{
	*all = (struct inquiries){ .loop = loop };
	list_init(&all->asked);
}

void
inquiries_done(struct inquiries *all)
{
	list_each(link, &all->asked) {
		struct inquiry *q = list_entry(link, struct inquiry, in_asked);

		q->user->on_drop(q->arg);
		inquiry_free(q);
	}
}

int
inquiry(struct inquiries *all, const struct inquiry_user *user, struct slice members, void *arg)
{
	const unsigned	   asked = cluster_count_asked(all->cluster);
	autobuf struct buf with_id = { 0 };
	struct inquiry	  *q;
	char		   id[ID_LEN + 1];
	int		   r;

	if (asked == 0)
		return -ENOTCONN;
	buf_addf(&with_id, ",\"id\":\"%s\"", id_new(id));
	buf_add_slice(&with_id, members);
	r = cluster_say(all->cluster, user->question, buf_slice(&with_id));
	if (r < 0)
		return r;
	q = xmalloc(sizeof(*q));
	*q = (struct inquiry){
		.deadline.fire = inquiry_expire, .n_asked = asked, .silent = asked, .user = user, .arg = arg,
	};
	memcpy(q->id, id, sizeof(id));
	cluster_add_asked(all->cluster, &q->asked);
	list_append(&all->asked, &q->in_asked);
	loop_timer(all->loop, &q->deadline, all->loop->now + user->wait_ms);
	return 0;
}

void
inquiry_answer(struct inquiries *all, const char *type, struct slice question, struct slice members)
{
	autobuf struct buf with_id = { 0 };
	char		   text[ID_LEN];
	struct slice	   id;

	if (json_member_text(question, "id", text, sizeof(text), &id) < 0)
		return;
	buf_add_str(&with_id, ",\"re\":");
	json_quote(&with_id, id);
	buf_add_slice(&with_id, members);
	/* Who asked counts us as silent, where it cannot be said. */
	cluster_say(all->cluster, type, buf_slice(&with_id));
}

static struct inquiry *
inquiry_find(struct inquiries *all, struct slice id)
{
	list_each(link, &all->asked) {
		struct inquiry *q = list_entry(link, struct inquiry, in_asked);

		if (slice_is(id, q->id))
			return q;
	}
	return NULL;
}

static bool
names_have(const struct buf *names, struct slice name)
{
	struct slice left = buf_slice(names);

	while (left.n > 0) {
		struct slice one = slice_str(left.p);

		if (slice_eq(one, name))
			return true;
		left = slice_from(left, one.n + 1);
	}
	return false;
}

/* False: it has answered before. */
static bool
inquiry_hear(struct inquiry *q, struct slice node)
{
	if (names_have(&q->heard, node))
		return false;
	buf_add_slice(&q->heard, node);
	buf_add_char(&q->heard, '\0');
	if (names_have(&q->asked, node))
		q->silent--;
	return true;
}

void
inquiries_on_message(struct inquiries *all, struct slice node, struct slice message)
{
	char		text[ID_LEN];
	struct slice	id;
	struct inquiry *q;

	if (list_empty(&all->asked) || json_member_text(message, "re", text, sizeof(text), &id) < 0)
		return;
	q = inquiry_find(all, id);
	if (q == NULL || !inquiry_hear(q, node))
		return;
	if (q->user->on_answer(q->arg, message))
		q->silent = 0;
	if (q->silent == 0)
		inquiry_end(q);
}
