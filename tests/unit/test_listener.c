/*
 * Listening sockets, over loopback and unix: what is accepted and how, whose file is replaced, and what happens when
 * descriptors run out.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "net/listener.h"

Suite *listener_suite(void);

#define CLIENTS_MAX	128

/* Who was accepted. */
struct guests {
	int		 fds[CLIENTS_MAX];
	struct addr	 peers[CLIENTS_MAX];
	unsigned	 n;
	unsigned	 stop_at;	/* stop accepting after so many; 0 = never */
	bool		 free_then;	/* and free the listener */
};

static struct loop *loop;
static struct guests guests;
static int clients[CLIENTS_MAX];
static unsigned n_clients;
static char dir[] = "/tmp/roost-listener-XXXXXX";
static char path[64];

static void
setup(void)
{
	loop = loop_new();
	guests = (struct guests){ 0 };
	n_clients = 0;
	*stats = (struct stats){ 0 };
	memcpy(strrchr(dir, '-'), "-XXXXXX", sizeof("-XXXXXX"));
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	ck_assert_int_eq(log_open(&(struct log_options){ .level = LOG_ERROR_ }), 0);
}

static void
teardown(void)
{
	for (unsigned i = 0; i < n_clients; i++)
		close(clients[i]);
	for (unsigned i = 0; i < guests.n; i++)
		close(guests.fds[i]);
	loop = loop_free(loop);
	unlink(path);
	rmdir(dir);
}

static void
on_accept(struct listener *l, int fd, const struct addr *peer, void *arg)
{
	struct guests *g = arg;

	ck_assert_uint_lt(g->n, CLIENTS_MAX);
	g->peers[g->n] = *peer;
	g->fds[g->n++] = fd;
	if (g->stop_at == 0 || g->n < g->stop_at)
		return;
	if (g->free_then)
		listener_free(l, false);
	else
		listener_set_accepting(l, false);
}

static struct addr_listen
where(const char *text)
{
	struct addr_listen l;
	const char	  *why;

	ck_assert_int_eq(addr_listen_parse(&l, text, &why), 0);
	return l;
}

static struct addr_listen
where_unix(void)
{
	char text[96];

	snprintf(text, sizeof(text), "unix:%s", path);
	return where(text);
}

static struct listener *
listen_on(const struct addr_listen *at)
{
	struct addr_listen bound;
	int		   fd = listener_bind(at, false, &bound);

	ck_assert_int_ge(fd, 0);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	return listener_new(loop, fd, &bound, on_accept, &guests);
}

static int
try_connect(const struct addr_listen *to)
{
	int fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	clients[n_clients++] = fd;
	return connect(fd, (const struct sockaddr *)&to->sa, to->sa_len) < 0 ? -errno : fd;
}

static void
connect_many(const struct listener *l, unsigned n)
{
	while (n-- > 0)
		ck_assert_int_ge(try_connect(listener_addr(l)), 0);
}

static void
turn_until_accepted(unsigned n)
{
	while (guests.n < n)
		loop_turn(loop, true);
	ck_assert_uint_eq(guests.n, n);
}

static int
option_of(int fd, int level, int option)
{
	int	  value = -1;
	socklen_t len = sizeof(value);

	ck_assert_int_eq(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

static uint16_t
port_of(const struct addr_listen *l)
{
	struct addr a;

	addr_from_sockaddr(&a, (const struct sockaddr *)&l->sa);
	return a.port;
}

START_TEST(tcp_is_accepted_as_promised)
{
	struct addr_listen	at = where("127.0.0.1:0,proxy");
	struct listener	       *l = listen_on(&at);
	struct sockaddr_storage sa;
	socklen_t		len = sizeof(sa);
	struct addr		client;
	char			text[ADDR_LEN];
	int			fd;

	ck_assert_uint_ne(port_of(listener_addr(l)), 0);
	ck_assert(listener_addr(l)->proxy);
	connect_many(l, 1);
	turn_until_accepted(1);
	fd = guests.fds[0];
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	ck_assert_int_eq(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 20000);
	ck_assert_int_eq(option_of(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 128 * 1024);
	ck_assert_int_eq(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	ck_assert_int_eq(getsockname(clients[0], (struct sockaddr *)&sa, &len), 0);
	addr_from_sockaddr(&client, (struct sockaddr *)&sa);
	ck_assert_str_eq(addr_host(&guests.peers[0], text), "127.0.0.1");
	ck_assert_uint_eq(guests.peers[0].port, client.port);
	ck_assert_uint_eq(stats->accepted_total, 1);
	ck_assert_uint_eq(stats->accept_rests_total, 0);
	listener_free(l, true);
}
END_TEST

/* An IPv4 address with the port of another one. */
static struct addr_listen
same_port(const char *host, const struct addr_listen *other)
{
	char text[64];

	snprintf(text, sizeof(text), "%s:%u", host, port_of(other));
	return where(text);
}

static bool
has_ipv6(void)
{
	struct addr_listen at = where("[::1]:0"), bound;
	int		   fd = listener_bind(&at, false, &bound);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

START_TEST(any_means_both_families)
{
	struct addr_listen at = where("*:0"), v4, v6;
	struct listener	  *l = listen_on(&at);
	char		   text[ADDR_LISTEN_LEN], want[ADDR_LISTEN_LEN];

	v4 = same_port("127.0.0.1", listener_addr(l));
	v6 = same_port("[::1]", listener_addr(l));
	snprintf(want, sizeof(want), "*:%u", port_of(listener_addr(l)));
	ck_assert_str_eq(addr_listen_text(listener_addr(l), text), want);
	ck_assert_int_ge(try_connect(&v4), 0);
	turn_until_accepted(1);
	ck_assert_str_eq(addr_host(&guests.peers[0], text), "127.0.0.1");
	if (has_ipv6()) {
		ck_assert_int_ge(try_connect(&v6), 0);
		turn_until_accepted(2);
		ck_assert_str_eq(addr_host(&guests.peers[1], text), "::1");
	}
	listener_free(l, false);
}
END_TEST

START_TEST(ipv6_means_ipv6_only)
{
	struct addr_listen at = where("[::]:0"), v4, v6;
	struct listener	  *l;

	if (!has_ipv6())
		return;
	l = listen_on(&at);
	v4 = same_port("127.0.0.1", listener_addr(l));
	v6 = same_port("[::1]", listener_addr(l));
	ck_assert_int_eq(try_connect(&v4), -ECONNREFUSED);
	ck_assert_int_ge(try_connect(&v6), 0);
	turn_until_accepted(1);
	listener_free(l, false);
}
END_TEST

START_TEST(port_is_shared_only_when_asked)
{
	struct addr_listen at = where("127.0.0.1:0"), bound, again;
	int		   shared, second, alone;

	shared = listener_bind(&at, true, &bound);
	ck_assert_int_ge(shared, 0);
	second = listener_bind(&bound, true, &again);
	ck_assert_int_ge(second, 0);
	ck_assert_int_eq(listener_bind(&bound, false, &again), -EADDRINUSE);
	alone = listener_bind(&at, false, &bound);
	ck_assert_int_ge(alone, 0);
	ck_assert_int_eq(listener_bind(&bound, true, &again), -EADDRINUSE);
	close(shared);
	close(second);
	close(alone);
}
END_TEST

static const struct {
	const char *at;
	int	    error;
} unbindable[] = {
	{ "192.0.2.1:0", -EADDRNOTAVAIL },
	{ "unix:/nonexistent/roost.sock", -ENOENT },
	{ "unix:/proc/roost.sock", -ENOENT },
	{ "unix:/", -EADDRINUSE },
};

START_TEST(bind_says_why_not)
{
	struct addr_listen at = where(unbindable[_i].at), bound = { .sa_len = 77 };

	ck_assert_int_eq(listener_bind(&at, false, &bound), unbindable[_i].error);
	ck_assert_uint_eq(bound.sa_len, 77);
}
END_TEST

START_TEST(unix_is_accepted_as_promised)
{
	struct addr_listen at = where_unix();
	struct listener	  *l = listen_on(&at);
	mode_t		   mask = umask(022);
	struct stat	   st;

	ck_assert_uint_eq(umask(mask), 022);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
	connect_many(l, 1);
	turn_until_accepted(1);
	ck_assert(fcntl(guests.fds[0], F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(guests.fds[0], F_GETFL) & O_NONBLOCK);
	ck_assert_uint_eq(guests.peers[0].family, AF_UNIX);
	listener_free(l, false);
	ck_assert_int_eq(stat(path, &st), 0);
}
END_TEST

START_TEST(umask_is_left_as_it_was)
{
	struct addr_listen at = where_unix(), bound;
	mode_t		   mask = umask(027);
	int		   fd = listener_bind(&at, false, &bound);

	ck_assert_uint_eq(umask(mask), 027);
	close(fd);
}
END_TEST

START_TEST(unix_file_goes_with_unlink)
{
	struct addr_listen at = where_unix();
	struct stat	   st;

	ck_assert_ptr_null(listener_free(listen_on(&at), true));
	ck_assert_int_eq(stat(path, &st), -1);
	ck_assert_ptr_null(listener_free(NULL, true));
}
END_TEST

START_TEST(dead_unix_socket_is_replaced)
{
	struct addr_listen at = where_unix(), bound;
	struct listener	  *l;

	close(listener_bind(&at, false, &bound));
	l = listen_on(&at);
	connect_many(l, 1);
	turn_until_accepted(1);
	listener_free(l, true);
}
END_TEST

START_TEST(living_unix_socket_is_not_replaced)
{
	struct addr_listen at = where_unix(), bound;
	struct listener	  *l = listen_on(&at);

	ck_assert_int_eq(listener_bind(&at, false, &bound), -EADDRINUSE);
	connect_many(l, 1);
	turn_until_accepted(2);
	listener_free(l, true);
}
END_TEST

START_TEST(other_files_are_not_replaced)
{
	struct addr_listen at = where_unix(), bound;
	struct stat	   st;
	int		   fd = open(path, O_CREAT | O_WRONLY, 0600);

	close(fd);
	ck_assert_int_eq(listener_bind(&at, false, &bound), -EADDRINUSE);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
}
END_TEST

START_TEST(symbolic_link_is_not_followed)
{
	struct addr_listen at = where_unix(), bound;
	char		   target[96];
	struct stat	   st;

	snprintf(target, sizeof(target), "%s.target", path);
	close(listener_bind(&at, false, &bound));
	ck_assert_int_eq(rename(path, target), 0);
	ck_assert_int_eq(symlink(target, path), 0);
	ck_assert_int_eq(listener_bind(&at, false, &bound), -EADDRINUSE);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
	unlink(target);
	ck_assert_int_eq(listener_bind(&at, false, &bound), -EADDRINUSE);
	ck_assert_int_eq(lstat(target, &st), -1);
}
END_TEST

START_TEST(burst_is_bounded)
{
	struct addr_listen at = where_unix();
	struct listener	  *l = listen_on(&at);

	connect_many(l, ACCEPT_BURST + 6);
	loop_turn(loop, true);
	ck_assert_uint_eq(guests.n, ACCEPT_BURST);
	loop_turn(loop, true);
	ck_assert_uint_eq(guests.n, ACCEPT_BURST + 6);
	ck_assert_uint_eq(stats->accepted_total, ACCEPT_BURST + 6);
	listener_free(l, true);
}
END_TEST

START_TEST(callee_may_stop_it)
{
	struct addr_listen at = where_unix();
	struct listener	  *l = listen_on(&at);

	guests.stop_at = 3;
	connect_many(l, 5);
	loop_turn(loop, true);
	loop_turn(loop, false);
	ck_assert_uint_eq(guests.n, 3);
	guests.stop_at = 0;
	listener_set_accepting(l, true);
	turn_until_accepted(5);
	listener_free(l, true);
}
END_TEST

START_TEST(callee_may_free_it)
{
	struct addr_listen at = where_unix();
	struct listener	  *l = listen_on(&at);

	guests.stop_at = 3;
	guests.free_then = true;
	connect_many(l, 5);
	loop_turn(loop, true);
	loop_turn(loop, false);
	ck_assert_uint_eq(guests.n, 3);
	ck_assert_int_eq(try_connect(&at), -ECONNREFUSED);
}
END_TEST

/* Lets no further descriptor be opened, but for those that are closed from now on. */
static void
run_out_of_descriptors(struct rlimit *before)
{
	int	      lowest = dup(STDIN_FILENO);
	struct rlimit now;

	ck_assert_int_ge(lowest, 0);
	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, before), 0);
	now = (struct rlimit){ .rlim_cur = (rlim_t)lowest, .rlim_max = before->rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static size_t
read_all(int fd, char *text, size_t n)
{
	size_t	got = 0;
	ssize_t r;

	while ((r = read(fd, text + got, n - 1 - got)) > 0)
		got += (size_t)r;
	ck_assert_int_eq(r, 0);
	text[got] = '\0';
	return got;
}

static unsigned
lines_of(const char *file)
{
	char	 text[4096];
	unsigned lines = 0;
	int	 fd = open(file, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	read_all(fd, text, sizeof(text));
	close(fd);
	for (char *p = text; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	return lines;
}

START_TEST(without_descriptors_it_answers_one_and_rests)
{
	struct addr_listen at = where("127.0.0.1:0");
	struct listener	  *l = listen_on(&at);
	char		   log[96], text[512];
	uint64_t	   began = clock_ms(), turns;
	struct rlimit	   before;

	snprintf(log, sizeof(log), "%s.log", path);
	ck_assert_int_eq(log_open(&(struct log_options){ .level = LOG_WARN_, .file = log }), 0);
	connect_many(l, 4);
	ck_assert_int_eq(write(clients[0], "GET / HTTP/1.1\r\n\r\n", 18), 18);
	run_out_of_descriptors(&before);
	loop_turn(loop, true);
	ck_assert_uint_eq(stats->accept_rests_total, 1);
	ck_assert_uint_eq(stats->refused_total, 1);
	read_all(clients[0], text, sizeof(text));
	ck_assert_str_eq(text, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
	    "Connection: close\r\n\r\n");
	ck_assert_int_eq(option_of(clients[0], SOL_SOCKET, SO_ERROR), 0);
	/* Callers wait, but it does not spin. */
	turns = stats->loop_turns_total;
	while (stats->accept_rests_total < 3)
		loop_turn(loop, true);
	ck_assert_uint_ge(clock_ms() - began, 2 * ACCEPT_REST_MS);
	ck_assert_uint_lt(stats->loop_turns_total - turns, 20);
	ck_assert_uint_eq(stats->refused_total, 3);
	ck_assert_uint_eq(guests.n, 0);
	/* It recovers by itself. */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	turn_until_accepted(1);
	ck_assert_uint_eq(stats->accepted_total, 1);
	ck_assert_uint_eq(lines_of(log), 1);
	log_close();
	unlink(log);
	listener_free(l, false);
}
END_TEST

START_TEST(rest_is_not_cut_short)
{
	struct addr_listen at = where_unix();
	struct listener	  *l = listen_on(&at);
	struct rlimit	   before;

	connect_many(l, 2);
	run_out_of_descriptors(&before);
	loop_turn(loop, true);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	listener_set_accepting(l, false);
	listener_set_accepting(l, true);
	loop_turn(loop, false);
	ck_assert_uint_eq(guests.n, 0);
	turn_until_accepted(1);
	listener_free(l, true);
}
END_TEST

START_TEST(tls_caller_gets_no_plain_text)
{
	struct addr_listen at = where("127.0.0.1:0,tls");
	struct listener	  *l = listen_on(&at);
	struct rlimit	   before;
	char		   text[512];

	connect_many(l, 1);
	run_out_of_descriptors(&before);
	loop_turn(loop, true);
	ck_assert_uint_eq(read_all(clients[0], text, sizeof(text)), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	listener_free(l, false);
}
END_TEST

/* The reserve cannot be had at first: nobody is refused, and the next rest brings it. */
START_TEST(lost_reserve_comes_back)
{
	struct addr_listen at = where_unix(), bound;
	int		   fd = listener_bind(&at, false, &bound);
	struct rlimit	   before, one_more;
	struct listener	  *l;

	ck_assert_int_ge(try_connect(&bound), 0);
	run_out_of_descriptors(&before);
	l = listener_new(loop, fd, &bound, on_accept, &guests);
	loop_turn(loop, true);
	ck_assert_uint_eq(stats->accept_rests_total, 1);
	ck_assert_uint_eq(stats->refused_total, 0);
	getrlimit(RLIMIT_NOFILE, &one_more);
	one_more.rlim_cur++;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &one_more), 0);
	while (stats->refused_total == 0)
		loop_turn(loop, true);
	ck_assert_uint_eq(stats->accept_rests_total, 2);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	listener_free(l, true);
}
END_TEST

Suite *
listener_suite(void)
{
	Suite *s = suite_create("listener");
	TCase *t = tcase_create("listener");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, tcp_is_accepted_as_promised);
	tcase_add_test(t, any_means_both_families);
	tcase_add_test(t, ipv6_means_ipv6_only);
	tcase_add_test(t, port_is_shared_only_when_asked);
	tcase_add_loop_test(t, bind_says_why_not, 0, (int)(sizeof(unbindable) / sizeof(unbindable[0])));
	tcase_add_test(t, unix_is_accepted_as_promised);
	tcase_add_test(t, umask_is_left_as_it_was);
	tcase_add_test(t, unix_file_goes_with_unlink);
	tcase_add_test(t, dead_unix_socket_is_replaced);
	tcase_add_test(t, living_unix_socket_is_not_replaced);
	tcase_add_test(t, other_files_are_not_replaced);
	tcase_add_test(t, symbolic_link_is_not_followed);
	tcase_add_test(t, burst_is_bounded);
	tcase_add_test(t, callee_may_stop_it);
	tcase_add_test(t, callee_may_free_it);
	tcase_add_test(t, without_descriptors_it_answers_one_and_rests);
	tcase_add_test(t, rest_is_not_cut_short);
	tcase_add_test(t, tls_caller_gets_no_plain_text);
	tcase_add_test(t, lost_reserve_comes_back);
	suite_add_tcase(s, t);
	return s;
}
