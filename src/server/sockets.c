/*
 * Listeners: bound before privileges are dropped, and handed to whoever serves.
 */
#include "server/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/listener.h"

/*
 * One more socket for an address that another worker has: the kernel shares callers out. Of a unix socket
 * there is one for all.
 */
static int
bind_like(const struct socket *like, struct socket *s)
{
	*s = *like;
	if (like->addr.path[0] == '\0')
		return s->fd = listener_bind(&like->addr, true, &s->addr);
	s->fd = fcntl(like->fd, F_DUPFD_CLOEXEC, 0);
	return s->fd < 0 ? -errno : s->fd;
}

static int
bind_first(const char *text, bool reuse_port, bool admin, struct socket *s, const char **fault)
{
	struct addr_listen asked;

	*fault = NULL;
	s->admin = admin;
	if (addr_listen_parse(&asked, text, fault) < 0)
		return -EINVAL;
	s->fd = listener_bind(&asked, reuse_port, &s->addr);
	return s->fd;
}

int
sockets_bind(const struct config *c, bool shared, const struct sockets *like, struct sockets *set, char **why)
{
	const struct config_list *lists[] = { &c->listen, &c->admin_listen };

	*set = (struct sockets){ .shared = shared };
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < lists[k]->n; i++) {
			struct socket *s = &set->items[set->n];
			const char	   *text = lists[k]->items[i], *fault = NULL;
			int		    r;

			if (strcmp(text, "none") == 0)
				continue;
			r = like != NULL ? bind_like(&like->items[set->n], s) :
			    bind_first(text, shared && c->workers > 1, k == 1, s, &fault);
			if (r < 0) {
				*why = xasprintf("cannot listen on %s: %s", text, fault != NULL ? fault : strerror(-r));
				return fault != NULL ? EX_CONFIG : r == -EACCES || r == -EPERM ? EX_NOPERM : EX_OSERR;
			}
			set->n++;
		}
	return 0;
}

void
sockets_close(struct sockets *set, bool unlink_files)
{
	for (unsigned i = 0; i < set->n; i++) {
		if (set->items[i].fd >= 0)
			close(set->items[i].fd);
		if (unlink_files && set->items[i].addr.path[0] != '\0')
			unlink(set->items[i].addr.path);
	}
	set->n = 0;
}

void
sockets_public_address(const struct sockets *set, char *out)
{
	out[0] = '\0';
	for (unsigned i = 0; set != NULL && i < set->n; i++)
		if (!set->items[i].admin) {
			addr_listen_text(&set->items[i].addr, out);
			return;
		}
}
