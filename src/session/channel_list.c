/*
 * The lists of <roost/channel.h>: names that a channel's user keeps, as all of his channels see them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "history/userlists.h"
#include "session/channel.h"

#define MAX_LIST	32	/* bytes of a list's name */
#define MAX_NAME	128	/* of a name in it */

struct channel_list {
	struct channel	    *channel;
	struct userlist_view view;
	struct loop_task     tell;
	int		     error;
	bool		     told;
	void		   (*opened)(struct channel *, int error);
};

/* The join has returned by then, and can be gone on with. */
static void
channel_list_tell(struct loop_task *t)
{
	struct channel_list *l = container_of(t, struct channel_list, tell);
	struct channel	    *ch = l->channel;

	l->told = true;
	ch->depth++;
	l->opened(ch, l->error);
	ch->depth--;
	channel_settle(ch, 0);
}

static void
channel_list_opened(struct userlist_view *view, int error)
{
	struct channel_list *l = container_of(view, struct channel_list, view);

	l->error = error;
	loop_at_end(l->channel->session->env->loop, &l->tell);
}

static void
channel_list_changed(struct userlist_view *view)
{
	struct channel_list *l = container_of(view, struct channel_list, view);
	struct channel	    *ch = l->channel;
	int		     r;

	if (!l->told || ch->route->class->handle_list == NULL)
		return;
	ch->depth++;
	r = ch->route->class->handle_list(ch);
	ch->depth--;
	channel_settle(ch, r);
}

static bool
is_list_name(struct slice name)
{
	if (name.n == 0 || name.n > MAX_LIST)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] < 'a' || name.p[i] > 'z')
			return false;
	return true;
}

int
channel_open_list(struct channel *ch, const char *list, void (*fn)(struct channel *, int error))
{
	struct channel_list *l;

	if (ch->phase != CHANNEL_JOINING || ch->list != NULL || channel_user(ch).n == 0 || !is_list_name(slice_str(list)))
		return -EINVAL;
	l = xmalloc(sizeof(*l));
	*l = (struct channel_list){
		.channel = ch, .view = { .opened = channel_list_opened, .changed = channel_list_changed },
		.tell.run = channel_list_tell, .opened = fn,
	};
	ch->list = l;
	userlist_open(ch->session->env->userlists, channel_user(ch), slice_str(list), &l->view);
	return 0;
}

void
channel_list_end(struct channel *ch)
{
	struct channel_list *l = ch->list;

	if (l == NULL)
		return;
	ch->list = NULL;
	loop_forget_task(&l->tell);
	userlist_close(&l->view);
	free(l);
}

bool
channel_list_has(const struct channel *ch, struct slice name)
{
	return ch->list != NULL && userlist_has(&ch->list->view, name);
}

unsigned
channel_list_count(const struct channel *ch)
{
	return ch->list != NULL ? userlist_count(&ch->list->view) : 0;
}

static void
list_set_told(void *arg, int error)
{
	struct asked *a = arg;

	if (error == 0)
		channel_ref_reply(a->ref, true, channel_empty());
	else if (error == -ENOSPC)
		channel_ref_reply(a->ref, false, channel_json(SLICE("{\"reason\":\"too_many\"}")));
	else
		channel_ref_unavailable(a->ref);
	asked_free(a);
}

int
channel_list_set(struct channel *ch, struct slice name, bool listed)
{
	struct channel_list *l = ch->list;
	struct channel_ref  *ref;
	struct asked	    *a;

	if (ch->phase != CHANNEL_JOINED || l == NULL || name.n == 0 || name.n > MAX_NAME)
		return -EINVAL;
	ref = channel_defer(ch);
	if (ref == NULL)
		return -EINVAL;
	a = asked_new(ch, ref, SLICE(""));
	/* It could not be opened when the channel joined. */
	if (l->view.list == NULL || userlist_set(&l->view, name, listed, list_set_told, a) < 0)
		list_set_told(a, -EHOSTUNREACH);
	return 0;
}
