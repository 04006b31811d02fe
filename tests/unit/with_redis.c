/*
 * Starts, stops and ends a Redis server for tests.
 */
#include "with_redis.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define SERVER		"redis-server"
#define START_MS	10000
#define STEP_US		2000

static char folder[64];
static char path[80];
static unsigned port;
static pid_t server;		/* 0 = none */
static pid_t starter;		/* who started it; a fork of it must not end it */
static redisContext *context;
static pid_t context_of;	/* forks share no connection */

static bool
is_on_path(const char *name)
{
	const char *at = getenv("PATH");
	char	    file[512];

	while (at != NULL && *at != '\0') {
		size_t n = strcspn(at, ":");

		snprintf(file, sizeof(file), "%.*s/%s", (int)n, at, name);
		if (access(file, X_OK) == 0)
			return true;
		at += n + (at[n] == ':');
	}
	return false;
}

bool
with_redis_available(void)
{
	static bool looked, there;

	if (looked)
		return there;
	looked = true;
	there = is_on_path(SERVER);
	if (!there)
		printf("%s is not installed: the tests that need it are skipped\n", SERVER);
	return there;
}

const char *
with_redis_path(void)
{
	return path;
}

static void
drop_context(void)
{
	if (context != NULL)
		redisFree(context);
	context = NULL;
}

/* NULL if nobody answers there yet. */
static redisContext *
try_connect(void)
{
	struct timeval tv = { .tv_sec = 5 };
	redisContext  *c = redisConnectUnixWithTimeout(path, tv);
	redisReply    *answer;

	if (c == NULL || c->err != 0) {
		redisFree(c);
		return NULL;
	}
	redisSetTimeout(c, tv);
	answer = redisCommand(c, "PING");
	if (answer != NULL) {
		freeReplyObject(answer);
		return c;
	}
	redisFree(c);
	return NULL;
}

redisContext *
with_redis(void)
{
	if (context != NULL && (context->err != 0 || context_of != getpid()))
		drop_context();
	if (context == NULL)
		context = try_connect();
	ck_assert_msg(context != NULL, "redis-server does not answer");
	context_of = getpid();
	return context;
}

static redisReply *
ask(const char *fmt, va_list ap)
{
	redisReply *answer = redisvCommand(with_redis(), fmt, ap);

	ck_assert_msg(answer != NULL, "%s: %s", fmt, context->errstr);
	ck_assert_msg(answer->type != REDIS_REPLY_ERROR, "%s: %s", fmt, answer->str);
	return answer;
}

void
with_redis_do(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	freeReplyObject(ask(fmt, ap));
	va_end(ap);
}

long long
with_redis_int(const char *fmt, ...)
{
	redisReply *answer;
	long long   n;
	va_list	    ap;

	va_start(ap, fmt);
	answer = ask(fmt, ap);
	va_end(ap);
	ck_assert_int_eq(answer->type, REDIS_REPLY_INTEGER);
	n = answer->integer;
	freeReplyObject(answer);
	return n;
}

/* In the child: becomes the server, which ends with its parent. */
static void
become_server(pid_t parent)
{
	char port_text[16];
	int  quiet = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || quiet < 0)
		_exit(127);
	for (int fd = 0; fd <= 2; fd++)
		dup2(quiet, fd);
	snprintf(port_text, sizeof(port_text), "%u", port);
	execlp(SERVER, SERVER, "--port", port_text, "--bind", "127.0.0.1", "--unixsocket", path, "--dir", folder, "--save", "",
	    "--appendonly", "no", "--daemonize", "no", (char *)NULL);
	_exit(127);
}

static void
launch(void)
{
	uint64_t deadline = clock_ms() + START_MS;
	pid_t	 parent = getpid();

	/* What stands in our buffers is not for the child to write. */
	fflush(NULL);
	server = fork();
	ck_assert_int_ge(server, 0);
	if (server == 0)
		become_server(parent);
	starter = parent;
	drop_context();
	while ((context = try_connect()) == NULL) {
		ck_assert_msg(waitpid(server, NULL, WNOHANG) == 0, "%s ended at once", SERVER);
		ck_assert_msg(clock_ms() < deadline, "%s does not start", SERVER);
		usleep(STEP_US);
	}
	context_of = parent;
}

void
with_redis_start(void)
{
	static bool at_exit;

	if (!with_redis_available())
		return;
	ck_assert_int_eq(server, 0);
	/* As in the daemon: a server that went away is an error, not an end. */
	signal(SIGPIPE, SIG_IGN);
	port = 0;
	snprintf(folder, sizeof(folder), "/tmp/roost-redis.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	launch();
	if (!at_exit)
		atexit(with_redis_end);
	at_exit = true;
}

static bool
is_ours(void)
{
	return server != 0 && starter == getpid();
}

void
with_redis_kill(void)
{
	drop_context();
	ck_assert_msg(is_ours(), "whoever kills the server must have started it");
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	server = 0;
}

void
with_redis_end(void)
{
	drop_context();
	if (folder[0] == '\0' || starter != getpid())
		return;
	if (is_ours())
		with_redis_kill();
	unlink(path);
	rmdir(folder);
	folder[0] = '\0';
}

void
with_redis_restart(void)
{
	if (server != 0)
		with_redis_kill();
	launch();
}

void
with_redis_pause(void)
{
	int status;

	ck_assert(is_ours());
	kill(server, SIGSTOP);
	ck_assert_int_eq(waitpid(server, &status, WUNTRACED), server);
	ck_assert(WIFSTOPPED(status));
}

void
with_redis_continue(void)
{
	kill(server, SIGCONT);
}

/* A port that nobody listened on a moment ago. */
static unsigned
free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t	   n = sizeof(in);
	int		   fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, n), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &n), 0);
	close(fd);
	return ntohs(in.sin_port);
}

unsigned
with_redis_port(void)
{
	if (port != 0)
		return port;
	port = free_port();
	with_redis_restart();
	return port;
}

static void
on_tick(struct timer *t, uint64_t now)
{
}

bool
with_redis_turn_until(struct loop *l, bool (*cond)(void *), void *arg, unsigned ms)
{
	struct timer tick = { .fire = on_tick };
	uint64_t     deadline = clock_ms() + ms;
	bool	     met;

	while (!(met = cond(arg)) && clock_ms() < deadline) {
		/* Lest the loop wait for ever where nothing happens. */
		loop_timer(l, &tick, l->now + WHEEL_TICK_MS);
		loop_turn(l, true);
	}
	timer_stop(&tick);
	return met;
}
