/*
 * The life of one connection: pause, resolve, connect, log in, settle, up; and from anywhere back to the pause.
 *
 * hiredis frees a context in the midst of its own functions, and calls back from there. So nothing ends there:
 * it is marked, and the task at the end of the turn buries it and tells the owner.
 */
#include "net/redis_link.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/id.h"
#include "base/log.h"
#include "net/addr.h"
#include "net/redis_resp.h"
#include "net/redis_tls.h"

#define KEEPALIVE_S	15

static void
link_mark(struct redis_link *l)
{
	loop_at_end(l->loop, &l->task);
}

static void
link_note(struct redis_link *l, const char *why)
{
	snprintf(l->why, sizeof(l->why), "%s", why);
}

void
redis_link_doom(struct redis_link *l, const char *why)
{
	if (l->state == REDIS_PAUSING || l->doomed || l->gone)
		return;
	link_note(l, why);
	l->doomed = true;
	link_mark(l);
}

/* Errors that go by, with this server or the next. */
static bool
is_transient(const char *error)
{
	static const char *const starts[] = {
		"LOADING", "READONLY", "MASTERDOWN", "BUSY", "ERR max number of clients"
	};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (strncmp(error, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

static bool
is_refusal(const char *error)
{
	static const char *const starts[] = {
		"NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH", "ERR invalid password", "ERR Client sent AUTH"
	};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (strncmp(error, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

void
redis_link_doom_by(struct redis_link *l, const char *about, const struct redisReply *r)
{
	char why[sizeof(l->why)];

	if (r->type != REDIS_REPLY_ERROR) {
		snprintf(why, sizeof(why), "%s: the answer is not of Redis", about);
		redis_link_doom(l, why);
		return;
	}
	l->refused = l->refused || is_refusal(r->str);
	snprintf(why, sizeof(why), "%s: %s", about, r->str);
	redis_link_doom(l, why);
}

bool
redis_link_takes(const struct redis_link *l)
{
	return l->context != NULL && !l->gone && !l->doomed && l->state >= REDIS_LOGGING_IN;
}

bool
redis_link_hears(const struct redis_link *l, const void *reply)
{
	return reply != NULL && !l->doomed && !l->gone;
}

void
redis_link_say(struct redis_link *l, struct buf *resp, redisCallbackFn *fn, void *arg)
{
	/* hiredis searches it by strchr(). */
	*buf_room(resp, 1) = '\0';
	if (redisAsyncFormattedCommand(l->context, fn, arg, resp->p, resp->n) != REDIS_OK)
		redis_link_doom(l, "hiredis does not take commands any more");
}

void
redis_link_up(struct redis_link *l)
{
	l->state = REDIS_UP;
	l->tries = 0;
	timer_stop(&l->timer);
}

/* Logging in, step by step; one that is not needed composes nothing. */

static void
step_auth(const struct redis_options *o, struct buf *out)
{
	bool user = o->url.user[0] != '\0';

	if (o->url.password[0] == '\0')
		return;
	resp_begin(out, user ? 3 : 2);
	resp_word(out, SLICE("AUTH"));
	if (user)
		resp_word(out, slice_str(o->url.user));
	resp_word(out, slice_str(o->url.password));
}

static void
step_name(const struct redis_options *o, struct buf *out)
{
	if (o->name == NULL || o->name[0] == '\0')
		return;
	resp_begin(out, 3);
	resp_word(out, SLICE("CLIENT"));
	resp_word(out, SLICE("SETNAME"));
	resp_word(out, slice_str(o->name));
}

static void
step_select(const struct redis_options *o, struct buf *out)
{
	char db[16];

	if (o->url.db == 0)
		return;
	snprintf(db, sizeof(db), "%u", o->url.db);
	resp_begin(out, 2);
	resp_word(out, SLICE("SELECT"));
	resp_word(out, slice_str(db));
}

/* Tells whether anyone is there at all, and ready. */
static void
step_ping(const struct redis_options *o, struct buf *out)
{
	resp_begin(out, 1);
	resp_word(out, SLICE("PING"));
}

static const struct step {
	const char	*name;
	void		(*compose)(const struct redis_options *, struct buf *out);
	const char	*answer;
	bool		 refuses;	/* an error is about us, unless it goes by */
} steps[] = {
	{ "AUTH",	    step_auth,	 "OK",	 true },
	{ "CLIENT SETNAME", step_name,	 "OK",	 false },
	{ "SELECT",	    step_select, "OK",	 true },
	{ "PING",	    step_ping,	 "PONG", false },
};

#define N_STEPS	(sizeof(steps) / sizeof(steps[0]))

static void on_login_answer(redisAsyncContext *, void *reply, void *arg);

static void
link_log_in(struct redis_link *l)
{
	autobuf struct buf out = { 0 };

	while (l->step < N_STEPS) {
		steps[l->step].compose(l->options, &out);
		if (out.n > 0)
			break;
		l->step++;
	}
	if (out.n > 0) {
		redis_link_say(l, &out, on_login_answer, l);
		return;
	}
	l->state = REDIS_SETTLING;
	l->owner->on_login(l);
}

static void
on_login_answer(redisAsyncContext *c, void *reply, void *arg)
{
	struct redis_link	*l = arg;
	const struct step	*s = &steps[l->step];
	const struct redisReply *r = reply;

	if (!redis_link_hears(l, reply))
		return;
	if (r->type == REDIS_REPLY_STATUS && strcmp(r->str, s->answer) == 0) {
		l->step++;
		link_log_in(l);
		return;
	}
	l->refused = r->type == REDIS_REPLY_ERROR && s->refuses && !is_transient(r->str);
	redis_link_doom_by(l, s->name, r);
}

/* What hiredis calls to have its socket watched. */

/* An answer where none is due, other than an error: hiredis would abort the process. */
static bool
is_unasked(const struct redis_link *l, int fd)
{
	char first;

	if (l->state != REDIS_UP || l->tls != NULL)
		return false;
	if (l->context->replies.head != NULL || (l->context->c.flags & REDIS_SUBSCRIBED) != 0)
		return false;
	return recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && first != '-';
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct redis_link *l = arg;

	loop_awake(l->loop);
	if (l->context == NULL || l->gone)
		return;
	if (is_unasked(l, fd))
		redis_link_doom(l, "an answer that nobody asked for");
	else
		redisAsyncHandleRead(l->context);
}

static void
link_write(struct redis_link *l)
{
	l->unsaid = false;
	l->writing = true;
	redisAsyncHandleWrite(l->context);
	l->writing = false;
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct redis_link *l = arg;

	loop_awake(l->loop);
	if (l->context != NULL && !l->gone)
		link_write(l);
}

static void
hook_add_read(void *arg)
{
	struct redis_link *l = arg;

	event_add(&l->readable, NULL);
}

static void
hook_del_read(void *arg)
{
	struct redis_link *l = arg;

	event_del(&l->readable);
}

static void
hook_add_write(void *arg)
{
	struct redis_link *l = arg;

	if (l->writing || l->state == REDIS_CONNECTING) {
		event_add(&l->writable, NULL);
		return;
	}
	l->unsaid = true;
	link_mark(l);
}

static void
hook_del_write(void *arg)
{
	struct redis_link *l = arg;

	event_del(&l->writable);
}

static const char *
link_why(const struct redis_link *l)
{
	const redisContext *c = &l->context->c;

	if (c->err == REDIS_ERR_IO)
		return redis_tls_why(l->tls, c->errstr);
	return c->err != 0 ? c->errstr : "the connection ended";
}

/* hiredis frees the context, now or presently. */
static void
hook_cleanup(void *arg)
{
	struct redis_link *l = arg;

	event_del(&l->readable);
	event_del(&l->writable);
	if (!l->doomed && !l->gone)
		link_note(l, link_why(l));
	l->gone = true;
	link_mark(l);
}

/* Best effort: without them it works, too. */
static void
set_options(const struct redis_link *l, int fd)
{
	int on = 1, idle = KEEPALIVE_S;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (l->options->url.is_unix)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof(idle));
}

static void
on_connected(const redisAsyncContext *c, int status)
{
	struct redis_link *l = c->data;

	if (status != REDIS_OK)
		return;
	if (l->options->url.tls && redis_tls_start(l->tls, &l->context->c, l->options->url.host) < 0) {
		redis_link_doom(l, redis_tls_why(l->tls, "TLS cannot be begun"));
		return;
	}
	l->state = REDIS_LOGGING_IN;
	l->step = 0;
	link_log_in(l);
}

static void
link_adopt(struct redis_link *l, redisAsyncContext *c)
{
	l->context = c;
	c->data = l;
	c->ev.data = l;
	c->ev.addRead = hook_add_read;
	c->ev.delRead = hook_del_read;
	c->ev.addWrite = hook_add_write;
	c->ev.delWrite = hook_del_write;
	c->ev.cleanup = hook_cleanup;
	event_assign(&l->readable, l->loop->base, c->c.fd, EV_READ | EV_PERSIST, on_readable, l);
	event_assign(&l->writable, l->loop->base, c->c.fd, EV_WRITE | EV_PERSIST, on_writable, l);
	set_options(l, c->c.fd);
	redisAsyncSetConnectCallback(c, on_connected);
}

static void
link_connect(struct redis_link *l, const char *ip)
{
	const struct redis_url *url = &l->options->url;
	redisAsyncContext      *c;

	l->state = REDIS_CONNECTING;
	c = url->is_unix ? redisAsyncConnectUnix(url->host) : redisAsyncConnect(ip, url->port);
	if (c != NULL && c->err == 0) {
		link_adopt(l, c);
		return;
	}
	redis_link_doom(l, c != NULL ? c->errstr : "no memory");
	if (c != NULL)
		redisAsyncFree(c);
}

static void
on_resolved(void *arg, const char *ip, const char *why)
{
	struct redis_link *l = arg;

	if (l->doomed)
		return;
	if (ip == NULL)
		redis_link_doom(l, why);
	else
		link_connect(l, ip);
}

static void
link_try(struct redis_link *l)
{
	const struct redis_url *url = &l->options->url;
	struct addr	       ip;

	loop_timer(l->loop, &l->timer, l->loop->now + l->options->connect_ms);
	if (url->is_unix || addr_parse_ip(&ip, slice_str(url->host)) == 0) {
		link_connect(l, url->host);
		return;
	}
	l->state = REDIS_RESOLVING;
	l->lookup = redis_lookup_new(l->loop, url->host, l->tries, on_resolved, l);
}

/* Longer with each try, and never the same for two who lost the server at one time. */
static uint64_t
link_pause(struct redis_link *l)
{
	uint64_t pause = l->options->backoff_ms;
	uint64_t noise;

	for (unsigned i = 0; i < l->tries && pause < l->options->backoff_max_ms; i++)
		pause *= 2;
	if (pause > l->options->backoff_max_ms)
		pause = l->options->backoff_max_ms;
	l->tries++;
	id_random(&noise, sizeof(noise));
	return pause - noise % (pause / 2 + 1);
}

static void
link_drop(struct redis_link *l)
{
	redisAsyncContext *c = l->gone ? NULL : l->context;

	/* Who is freed hears nothing more, and this is known before it is. */
	l->gone = true;
	l->lookup = redis_lookup_free(l->lookup);
	if (c != NULL)
		redisAsyncFree(c);
	l->context = NULL;
	l->unsaid = l->doomed = l->gone = false;
	loop_forget_task(&l->task);
}

static void
link_end(struct redis_link *l)
{
	bool refused = l->refused || is_refusal(l->why);

	link_drop(l);
	log_debug("redis: %s", l->why);
	l->refused = false;
	l->state = REDIS_PAUSING;
	loop_timer(l->loop, &l->timer, l->loop->now + link_pause(l));
	if (refused)
		l->owner->on_refused(l, l->why);
	l->owner->on_end(l, l->why);
}

static void
on_task(struct loop_task *t)
{
	struct redis_link *l = container_of(t, struct redis_link, task);

	if (l->doomed || l->gone)
		link_end(l);
	else if (l->unsaid && l->context != NULL)
		link_write(l);
}

static void
on_timer(struct timer *t, uint64_t now)
{
	struct redis_link *l = container_of(t, struct redis_link, timer);

	if (l->state == REDIS_PAUSING)
		link_try(l);
	else if (l->state == REDIS_RESOLVING)
		redis_link_doom(l, "the host's name was not resolved in time");
	else
		redis_link_doom(l, "no connection in time");
}

void
redis_link_init(struct redis_link *l, struct loop *loop, const struct redis_options *options,
    const struct redis_link_owner *owner)
{
	*l = (struct redis_link){
		.loop = loop, .options = options, .owner = owner, .task.run = on_task, .timer.fire = on_timer
	};
	if (options->url.tls)
		l->tls = redis_tls_new();
	loop_timer(loop, &l->timer, loop->now);
}

void
redis_link_done(struct redis_link *l)
{
	timer_stop(&l->timer);
	link_drop(l);
	l->tls = redis_tls_free(l->tls);
}
