/*
 * The pair of connections, as the rest of the house sees it.
 */
#include "net/redis.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/redis_bus.h"
#include "net/redis_calls.h"

struct redis {
	struct redis_options	 options;
	char			*name;
	struct redis_user	 user;
	void			*arg;
	bool			 up;		/* the user was told so */
	bool			 bus_up;
	struct redis_calls	 calls;
	struct redis_bus	 bus;
};

static void
on_up(struct redis_calls *c)
{
	struct redis *r = container_of(c, struct redis, calls);

	r->up = true;
	r->user.on_up(r->arg);
}

static void
on_down(struct redis_calls *c, const char *why)
{
	struct redis *r = container_of(c, struct redis, calls);
	bool	      was_up = r->up;

	r->up = false;
	if (was_up)
		r->user.on_down(r->arg, why);
}

static void
on_bus_up(struct redis_bus *b)
{
	struct redis *r = container_of(b, struct redis, bus);

	r->bus_up = true;
	r->user.on_bus_up(r->arg);
}

static void
on_bus_down(struct redis_bus *b, const char *why)
{
	struct redis *r = container_of(b, struct redis, bus);
	bool	      was_up = r->bus_up;

	r->bus_up = false;
	if (was_up)
		r->user.on_bus_down(r->arg, why);
}

static void
on_refused(struct redis_calls *c, const char *why)
{
	struct redis *r = container_of(c, struct redis, calls);

	r->user.on_refused(r->arg, why);
}

static void
on_bus_refused(struct redis_bus *b, const char *why)
{
	struct redis *r = container_of(b, struct redis, bus);

	r->user.on_refused(r->arg, why);
}

struct redis *
redis_new(struct loop *loop, const struct redis_options *options, const struct redis_user *user, void *arg)
{
	struct redis *r = xmalloc(sizeof(*r));

	*r = (struct redis){ .options = *options, .user = *user, .arg = arg };
	r->name = xstrdup(options->name != NULL ? options->name : "");
	r->options.name = r->name;
	redis_calls_init(&r->calls, loop, &r->options);
	r->calls.on_up = on_up;
	r->calls.on_down = on_down;
	r->calls.on_refused = on_refused;
	redis_bus_init(&r->bus, loop, &r->options);
	r->bus.on_up = on_bus_up;
	r->bus.on_down = on_bus_down;
	r->bus.on_refused = on_bus_refused;
	return r;
}

struct redis *
redis_free(struct redis *r)
{
	if (r == NULL)
		return NULL;
	redis_calls_done(&r->calls);
	redis_bus_done(&r->bus);
	explicit_bzero(r->options.url.password, sizeof(r->options.url.password));
	free(r->name);
	free(r);
	return NULL;
}

void
redis_add_script(struct redis *r, struct redis_script *s)
{
	unsigned char sum[SHA_DIGEST_LENGTH];

	SHA1((const unsigned char *)s->text, strlen(s->text), sum);
	for (size_t i = 0; i < sizeof(sum); i++)
		snprintf(s->sha + 2 * i, 3, "%02x", sum[i]);
	s->next = r->calls.scripts;
	r->calls.scripts = s;
}

bool
redis_is_up(const struct redis *r)
{
	return redis_calls_are_taken(&r->calls);
}

bool
redis_bus_is_up(const struct redis *r)
{
	return r->bus.link.state == REDIS_UP && redis_link_takes(&r->bus.link);
}

const char *
redis_trouble(const struct redis *r)
{
	return r->calls.link.why[0] != '\0' ? r->calls.link.why : r->bus.link.why;
}

int
redis_command(struct redis *r, redis_reply_fn *fn, void *arg, const struct slice *argv, unsigned argc)
{
	return redis_calls_command(&r->calls, fn, arg, argv, argc);
}

int
redis_eval(struct redis *r, const struct redis_script *script, redis_reply_fn *fn, void *arg,
    const struct slice *keys, unsigned n_keys, const struct slice *args, unsigned n_args)
{
	return redis_calls_eval(&r->calls, script, fn, arg, keys, n_keys, args, n_args);
}

struct redis_sub *
redis_subscribe(struct redis *r, struct slice channel, redis_message_fn *on_message,
    redis_subscribed_fn *on_subscribed, void *arg)
{
	return redis_bus_subscribe(&r->bus, channel, on_message, on_subscribed, arg);
}

void
redis_bounce_bus(struct redis *r, const char *why)
{
	redis_link_doom(&r->bus.link, why);
}

void
redis_bounce(struct redis *r, const char *why)
{
	redis_link_doom(&r->calls.link, why);
}
