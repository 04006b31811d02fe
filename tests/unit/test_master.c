/*
 * The master, in a process of its own, over workers that tell through a pipe what happens to them. What is waited for is
 * a message or an exit, bounded by Check's alarm; time itself only where a worker has to have lived for some milliseconds.
 */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "server/master.h"

Suite *master_suite(void);

#define UNTIL_S	20	/* no worker of ours lives longer, come what may */

/* What a worker tells: 's' it has started, 'e' it ends, or a signal's number. */
struct note {
	int	 what;
	unsigned index;		/* the worker's, or a value */
	pid_t	 pid;
	uint64_t at;	/* ms */
};

static int   notes[2];	/* from the workers */
static int   orders[2]; /* to them */
static void (*prepare_master)(void);
static pid_t master;
static char  dir[] = "/tmp/roost-master-XXXXXX";
static char  log_file[64];

static void
setup(void)
{
	memcpy(strrchr(dir, '-'), "-XXXXXX", sizeof("-XXXXXX"));
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(log_file, sizeof(log_file), "%s/log", dir);
	ck_assert_int_eq(pipe2(notes, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(orders, O_CLOEXEC), 0);
	prepare_master = NULL;
	master = 0;
}

static void
teardown(void)
{
	if (master > 0) {
		kill(master, SIGKILL);
		waitpid(master, NULL, 0);
	}
	unlink(log_file);
	rmdir(dir);
}

static void
tell(int what, unsigned index)
{
	struct note n = { .what = what, .index = index, .pid = getpid(), .at = clock_ms() };

	if (write(notes[1], &n, sizeof(n)) != sizeof(n))
		_exit(99);
}

static struct note
hear(void)
{
	struct note n;

	ck_assert_int_eq(read(notes[0], &n, sizeof(n)), sizeof(n));
	return n;
}

static struct note
hear_this(int what)
{
	struct note n = hear();

	ck_assert_int_eq(n.what, what);
	return n;
}

/* How many of `n` notes say this. */
static unsigned
hear_many(unsigned n, int what)
{
	unsigned found = 0;

	while (n-- > 0)
		if (hear().what == what)
			found++;
	return found;
}

/* Nobody is left who could say anything. */
static void
hear_the_end(void)
{
	char c;

	close(notes[1]);
	notes[1] = -1;
	ck_assert_int_eq(read(notes[0], &c, 1), 0);
}

/* Lets one worker go on that waits for it. */
static void
order(void)
{
	ck_assert_int_eq(write(orders[1], "x", 1), 1);
}

static void
await_order(void)
{
	char c;

	if (read(orders[0], &c, 1) != 1)
		_exit(98);
}

static int
wait_for_signal(void)
{
	sigset_t all;
	int	 sig;

	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	return sigwait(&all, &sig) == 0 ? sig : 0;
}

/* For workers with handlers. */

static _Noreturn void
await_signals(void)
{
	for (;;)
		pause();
}

static void
tell_signal(int sig)
{
	tell(sig, 0);
}

static void
tell_signal_and_end(int sig)
{
	tell(sig, 0);
	_exit(0);
}

static void
crash(int sig)
{
	kill(getpid(), SIGKILL);
}

/* Tells of each signal; ends at the first that stops it. */
static int
worker_serve(unsigned index, void *arg)
{
	int sig;

	alarm(UNTIL_S);
	tell('s', index);
	do {
		sig = wait_for_signal();
		tell(sig, index);
	} while (sig == SIGHUP || sig == SIGUSR1);
	return arg != NULL ? *(int *)arg : 0;
}

/* Runs the master until stop_master(), or until it gives up. */
static void
run_master(const struct master_options *o)
{
	fflush(NULL);
	master = fork();
	ck_assert_int_ge(master, 0);
	if (master > 0)
		return;
	close(orders[1]);
	close(notes[0]);
	signal(SIGPIPE, SIG_IGN);
	alarm(UNTIL_S);
	if (prepare_master != NULL)
		prepare_master();
	if (log_open(&(struct log_options){ .level = LOG_INFO_, .file = log_file }) < 0)
		_exit(97);
	_exit(master_run(o));
}

static int
exit_of_master(void)
{
	int status;

	ck_assert_int_eq(waitpid(master, &status, 0), master);
	master = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int
stop_master(void)
{
	ck_assert_int_eq(kill(master, SIGTERM), 0);
	return exit_of_master();
}

static bool
log_has(const char *text)
{
	char   all[16384];
	int    fd = open(log_file, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, all, sizeof(all) - 1);

	ck_assert_int_ge(n, 0);
	close(fd);
	all[n] = '\0';
	return strstr(all, text) != NULL;
}

START_TEST(runs_the_workers_and_ends_with_them)
{
	struct note first, second;

	run_master(&(struct master_options){ .workers = 2, .worker = worker_serve });
	first = hear_this('s');
	second = hear_this('s');
	ck_assert_uint_eq(first.index + second.index, 1);
	ck_assert_int_ne(first.pid, second.pid);
	ck_assert_int_eq(stop_master(), 0);
	hear_this(SIGTERM);
	hear_this(SIGTERM);
	hear_the_end();
	ck_assert(log_has("ended with code 0"));
}
END_TEST

static const int passed_on[] = { SIGHUP, SIGUSR1 };

START_TEST(signal_is_passed_on)
{
	run_master(&(struct master_options){ .workers = 2, .worker = worker_serve });
	hear_this('s');
	hear_this('s');
	for (int i = 0; i < 3; i++) {
		kill(master, passed_on[_i]);
		ck_assert_uint_eq(hear_this(passed_on[_i]).index + hear_this(passed_on[_i]).index, 1);
	}
	ck_assert_int_eq(stop_master(), 0);
}
END_TEST

static const int stops[] = { SIGTERM, SIGQUIT, SIGINT };

START_TEST(stop_is_passed_on)
{
	run_master(&(struct master_options){ .workers = 1, .worker = worker_serve });
	hear_this('s');
	kill(master, stops[_i]);
	hear_this(stops[_i]);
	ck_assert_int_eq(exit_of_master(), 0);
	hear_the_end();
}
END_TEST

static int
worker_slow_to_stop(unsigned index, void *arg)
{
	alarm(UNTIL_S);
	tell('s', index);
	tell(wait_for_signal(), index);
	tell(wait_for_signal(), index);
	return 0;
}

static const int seconds[] = { SIGTERM, SIGQUIT, SIGHUP };

START_TEST(signal_after_a_stop_is_passed_on_too)
{
	run_master(&(struct master_options){ .workers = 1, .worker = worker_slow_to_stop });
	hear_this('s');
	kill(master, SIGTERM);
	hear_this(SIGTERM);
	kill(master, seconds[_i]);
	hear_this(seconds[_i]);
	ck_assert_int_eq(exit_of_master(), 0);
}
END_TEST

START_TEST(log_is_opened_again)
{
	char moved[96];

	snprintf(moved, sizeof(moved), "%s.1", log_file);
	run_master(&(struct master_options){ .workers = 1, .worker = worker_serve });
	hear_this('s');
	ck_assert_int_eq(rename(log_file, moved), 0);
	kill(master, SIGUSR1);
	hear_this(SIGUSR1);
	ck_assert_int_eq(stop_master(), 0);
	ck_assert(log_has("ended with code 0"));
	unlink(moved);
}
END_TEST

START_TEST(code_of_a_worker_is_ours)
{
	int code = 3;

	run_master(&(struct master_options){ .workers = 2, .worker = worker_serve, .arg = &code });
	hear_this('s');
	hear_this('s');
	ck_assert_int_eq(stop_master(), 3);
}
END_TEST

/* Dies of the first stop, by its default action, or of a fault in its shutdown. */
static int
worker_killed_by_stop(unsigned index, void *arg)
{
	alarm(UNTIL_S);
	if (arg != NULL)
		signal(SIGTERM, crash);
	master_worker_ready();
	tell('s', index);
	await_signals();
}

START_TEST(worker_without_handlers_stops_in_order)
{
	run_master(&(struct master_options){ .workers = 1, .worker = worker_killed_by_stop });
	hear_this('s');
	ck_assert_int_eq(stop_master(), 0);
}
END_TEST

START_TEST(crash_while_stopping_is_told)
{
	int yes = 1;

	run_master(&(struct master_options){ .workers = 1, .worker = worker_killed_by_stop, .arg = &yes });
	hear_this('s');
	ck_assert_int_eq(stop_master(), 1);
}
END_TEST

/* Does not hear that it is to stop. */
static int
worker_deaf(unsigned index, void *arg)
{
	alarm(UNTIL_S);
	signal(SIGTERM, SIG_IGN);
	master_worker_ready();
	tell('s', index);
	await_signals();
}

START_TEST(deaf_worker_is_killed)
{
	run_master(&(struct master_options){ .workers = 1, .worker = worker_deaf, .stop_ms = 100 });
	hear_this('s');
	ck_assert_int_eq(stop_master(), 1);
	ck_assert(log_has("workers do not end: killed"));
}
END_TEST

START_TEST(dead_worker_is_started_again)
{
	struct note a, b, again;

	run_master(&(struct master_options){ .workers = 2, .worker = worker_serve, .backoff_ms = 20 });
	a = hear_this('s');
	b = hear_this('s');
	for (int i = 0; i < 2; i++) {
		uint64_t killed = clock_ms();

		kill(a.pid, SIGKILL);
		again = hear_this('s');
		ck_assert_uint_eq(again.index, a.index);
		ck_assert_int_ne(again.pid, a.pid);
		ck_assert_uint_ge(again.at - killed, 20);
		a = again;
	}
	ck_assert_int_eq(kill(b.pid, 0), 0);
	ck_assert(log_has("died of signal 9 (Killed) after "));
	ck_assert_int_eq(stop_master(), 0);
	hear_this(SIGTERM);
	hear_this(SIGTERM);
	hear_the_end();
}
END_TEST

/* Ends at once with the code given. */
static int
worker_fail(unsigned index, void *arg)
{
	alarm(UNTIL_S);
	tell('e', index);
	return *(int *)arg;
}

static const int curable[] = { 0, 1, 3, 64, EX_OSERR, 255 };

START_TEST(failed_worker_is_started_again)
{
	int  code = curable[_i];
	char want[64];

	run_master(&(struct master_options){ .workers = 1, .worker = worker_fail, .arg = &code, .backoff_ms = 1 });
	for (int i = 0; i < 3; i++)
		hear_this('e');
	snprintf(want, sizeof(want), "ended with code %d after ", code);
	stop_master();
	ck_assert(log_has(want));
}
END_TEST

START_TEST(backoff_doubles_up_to_its_bound)
{
	static const uint64_t gaps[] = { 10, 20, 40, 50, 50 };
	int		      code = 1;
	struct note	      last, next;

	run_master(&(struct master_options){
		.workers = 1, .worker = worker_fail, .arg = &code, .backoff_ms = 10, .backoff_max_ms = 50,
	});
	last = hear_this('e');
	for (int i = 0; i < 5; i++) {
		next = hear_this('e');
		ck_assert_uint_ge(next.at - last.at, gaps[i]);
		last = next;
	}
	ck_assert(log_has("again in 10 ms"));
	ck_assert(log_has("again in 20 ms"));
	ck_assert(log_has("again in 40 ms"));
	ck_assert(log_has("again in 50 ms"));
	ck_assert(!log_has("again in 80 ms"));
}
END_TEST

/* Ends when it is told to. */
static int
worker_fail_on_order(unsigned index, void *arg)
{
	alarm(UNTIL_S);
	tell('s', index);
	await_order();
	return *(int *)arg;
}

static void
let_time_pass(uint64_t since, uint64_t ms)
{
	while (clock_ms() - since < ms)
		poll(NULL, 0, 1);
}

START_TEST(settled_worker_starts_over)
{
	int	    code = 1;
	struct note n;

	run_master(&(struct master_options){
		.workers = 1, .worker = worker_fail_on_order, .arg = &code, .backoff_ms = 3, .settled_ms = 2,
	});
	for (int i = 0; i < 4; i++) {
		n = hear_this('s');
		let_time_pass(n.at, 2);
		order();
	}
	hear_this('s');
	ck_assert(log_has("again in 3 ms"));
	ck_assert(!log_has("again in 6 ms"));
}
END_TEST

/* Worker 1 fails at once. */
static int
worker_one_fails(unsigned index, void *arg)
{
	return index == 1 ? worker_fail(index, arg) : worker_serve(index, NULL);
}

static const int hopeless[] = { 2, EX_UNAVAILABLE, EX_NOPERM, EX_CONFIG };

START_TEST(hopeless_start_ends_everything)
{
	int code = hopeless[_i];

	run_master(&(struct master_options){ .workers = 3, .worker = worker_one_fails, .arg = &code, .early_ms = 60000 });
	ck_assert_int_eq(exit_of_master(), code);
	ck_assert_uint_eq(hear_many(5, SIGQUIT), 2);
	hear_the_end();
	ck_assert(log_has("at once: giving up"));
}
END_TEST

START_TEST(hopeless_code_of_one_that_ran_is_a_failure)
{
	int	    code = EX_CONFIG;
	struct note n;

	run_master(&(struct master_options){
		.workers = 1, .worker = worker_fail_on_order, .arg = &code, .backoff_ms = 1, .early_ms = 2,
	});
	n = hear_this('s');
	let_time_pass(n.at, 2);
	order();
	hear_this('s');
	ck_assert_int_eq(kill(master, 0), 0);
}
END_TEST

/* Worker 1 waits for an order, and then fails. */
static int
worker_one_fails_on_order(unsigned index, void *arg)
{
	return index == 1 ? worker_fail_on_order(index, arg) : worker_serve(index, NULL);
}

START_TEST(hopeless_restart_leaves_the_others_alone)
{
	int	    code = EX_CONFIG;
	struct note n;

	run_master(&(struct master_options){
		.workers = 2, .worker = worker_one_fails_on_order, .arg = &code, .backoff_ms = 1, .early_ms = 40,
	});
	hear_this('s');
	n = hear_this('s');
	let_time_pass(n.at, 40);
	order();
	ck_assert_uint_eq(hear_this('s').index, 1);
	order();
	ck_assert_uint_eq(hear_this('s').index, 1);
	ck_assert(!log_has("giving up"));
	kill(master, SIGTERM);
	ck_assert_uint_eq(hear_this(SIGTERM).index, 0);
}
END_TEST

START_TEST(workers_die_with_the_master)
{
	run_master(&(struct master_options){ .workers = 2, .worker = worker_serve });
	hear_this('s');
	hear_this('s');
	kill(master, SIGKILL);
	hear_this(SIGQUIT);
	hear_this(SIGQUIT);
	hear_the_end();
	ck_assert_int_eq(exit_of_master(), -SIGKILL);
}
END_TEST

static int
worker_change_user(unsigned index, void *arg)
{
	alarm(UNTIL_S);
	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return 96;
	signal(SIGQUIT, tell_signal_and_end);
	master_worker_ready();
	tell('s', index);
	await_signals();
}

START_TEST(workers_of_another_user_die_with_the_master)
{
	if (geteuid() != 0)
		return;
	run_master(&(struct master_options){ .workers = 1, .worker = worker_change_user });
	hear_this('s');
	kill(master, SIGKILL);
	hear_this(SIGQUIT);
	hear_the_end();
}
END_TEST

/* Worker 0 sets its handler when it is told to; worker 1 tells that the signal has been passed on. */
static int
worker_zero_is_late(unsigned index, void *arg)
{
	if (index == 1)
		return worker_serve(index, NULL);
	alarm(UNTIL_S);
	tell('s', index);
	await_order();
	signal(SIGHUP, tell_signal);
	master_worker_ready();
	await_signals();
}

START_TEST(signals_wait_until_a_worker_is_ready)
{
	run_master(&(struct master_options){ .workers = 2, .worker = worker_zero_is_late });
	hear_this('s');
	hear_this('s');
	kill(master, SIGHUP);
	ck_assert_uint_eq(hear_this(SIGHUP).index, 1);
	order();
	ck_assert_uint_eq(hear_this(SIGHUP).index, 0);
	ck_assert_int_eq(stop_master(), 0);
}
END_TEST

START_TEST(worker_that_missed_a_reload_is_told)
{
	struct note n;

	run_master(&(struct master_options){ .workers = 1, .worker = worker_serve, .backoff_ms = 1 });
	n = hear_this('s');
	kill(master, SIGHUP);
	hear_this(SIGHUP);
	kill(n.pid, SIGKILL);
	hear_this('s');
	hear_this(SIGHUP);
	ck_assert_int_eq(stop_master(), 0);
}
END_TEST

static void
prepare_handlers(void)
{
	signal(SIGTERM, tell_signal);
	signal(SIGUSR2, tell_signal);
	signal(SIGCHLD, tell_signal);
}

static bool
has_handler(int sig, void (*handler)(int))
{
	struct sigaction now;

	return sigaction(sig, NULL, &now) == 0 && now.sa_handler == handler;
}

static int
worker_look_at_signals(unsigned index, void *arg)
{
	sigset_t mask;
	bool	 fine;

	alarm(UNTIL_S);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	fine = has_handler(SIGTERM, SIG_DFL) && has_handler(SIGUSR2, SIG_DFL) && has_handler(SIGCHLD, SIG_DFL) &&
	    has_handler(SIGPIPE, SIG_IGN) && sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGCHLD);
	master_worker_ready();
	sigprocmask(SIG_SETMASK, NULL, &mask);
	fine = fine && sigisemptyset(&mask);
	tell(fine ? 'y' : 'n', index);
	await_signals();
}

START_TEST(worker_has_no_foreign_handlers)
{
	prepare_master = prepare_handlers;
	run_master(&(struct master_options){ .workers = 1, .worker = worker_look_at_signals });
	hear_this('y');
	ck_assert_int_eq(stop_master(), 0);
}
END_TEST

static void
prepare_ignorance(void)
{
	signal(SIGCHLD, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

START_TEST(ignored_signals_are_taken)
{
	struct note n;

	prepare_master = prepare_ignorance;
	run_master(&(struct master_options){ .workers = 1, .worker = worker_serve, .backoff_ms = 1 });
	n = hear_this('s');
	kill(n.pid, SIGKILL);
	hear_this('s');
	kill(master, SIGHUP);
	hear_this(SIGHUP);
	ck_assert_int_eq(stop_master(), 0);
}
END_TEST

static char terminal[64];

static void
prepare_terminal(void)
{
	int fd;

	setsid();
	fd = open(terminal, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) < 0)
		_exit(95);
}

/* Worker 0 is told by the terminal; worker 1 is in a group of its own, where only the master tells it. */
static int
worker_of_terminal(unsigned index, void *arg)
{
	if (index == 0)
		return worker_slow_to_stop(index, arg);
	setpgid(0, 0);
	return worker_serve(index, arg);
}

START_TEST(terminal_tells_workers_itself)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, terminal, sizeof(terminal)) != 0)
		return;
	prepare_master = prepare_terminal;
	run_master(&(struct master_options){ .workers = 2, .worker = worker_of_terminal });
	hear_this('s');
	hear_this('s');
	ck_assert_int_eq(write(fd, "\x03", 1), 1);
	ck_assert_uint_eq(hear_this(SIGINT).index, 0);
	kill(master, SIGTERM);
	hear_this(SIGTERM);
	hear_this(SIGTERM);
	ck_assert_int_eq(exit_of_master(), 0);
	close(fd);
}
END_TEST

/* Tells what is in its slot, and counts. */
static int
worker_count(unsigned index, void *arg)
{
	alarm(UNTIL_S);
	stats = master_slot(index);
	tell('c', (unsigned)stats->accepted_total);
	tell('g', (unsigned)stats->connections);
	stats->accepted_total += 5;
	stats->connections += 7;
	tell('s', index);
	wait_for_signal();
	return 0;
}

/* Looks at the other one's. */
static int
worker_read_slots(unsigned index, void *arg)
{
	if (index == 0)
		return worker_count(index, arg);
	await_order();
	tell(master_slot(1) != NULL && master_slot(2) == NULL ? 'y' : 'n', (unsigned)master_slot(0)->accepted_total);
	return worker_serve(index, NULL);
}

START_TEST(counters_are_shared_and_survive)
{
	struct note n;

	run_master(&(struct master_options){ .workers = 2, .worker = worker_read_slots, .backoff_ms = 1 });
	ck_assert_uint_eq(hear_this('c').index, 0);
	ck_assert_uint_eq(hear_this('g').index, 0);
	n = hear_this('s');
	kill(n.pid, SIGKILL);
	ck_assert_uint_eq(hear_this('c').index, 5);
	ck_assert_uint_eq(hear_this('g').index, 0);
	hear_this('s');
	order();
	ck_assert_uint_eq(hear_this('y').index, 10);
}
END_TEST

START_TEST(nothing_without_a_master)
{
	sigset_t before, after;

	sigemptyset(&before);
	sigaddset(&before, SIGHUP);
	sigprocmask(SIG_BLOCK, &before, NULL);
	master_worker_ready();
	sigprocmask(SIG_SETMASK, NULL, &after);
	ck_assert(sigismember(&after, SIGHUP));
	ck_assert_ptr_null(master_slot(0));
}
END_TEST

#define ROWS(table)	((int)(sizeof(table) / sizeof((table)[0])))

static void
add_restart_tests(TCase *t)
{
	tcase_add_test(t, dead_worker_is_started_again);
	tcase_add_loop_test(t, failed_worker_is_started_again, 0, ROWS(curable));
	tcase_add_test(t, backoff_doubles_up_to_its_bound);
	tcase_add_test(t, settled_worker_starts_over);
	tcase_add_loop_test(t, hopeless_start_ends_everything, 0, ROWS(hopeless));
	tcase_add_test(t, hopeless_code_of_one_that_ran_is_a_failure);
	tcase_add_test(t, hopeless_restart_leaves_the_others_alone);
	tcase_add_test(t, worker_that_missed_a_reload_is_told);
}

static void
add_signal_tests(TCase *t)
{
	tcase_add_loop_test(t, signal_is_passed_on, 0, ROWS(passed_on));
	tcase_add_loop_test(t, stop_is_passed_on, 0, ROWS(stops));
	tcase_add_loop_test(t, signal_after_a_stop_is_passed_on_too, 0, ROWS(seconds));
	tcase_add_test(t, log_is_opened_again);
	tcase_add_test(t, signals_wait_until_a_worker_is_ready);
	tcase_add_test(t, worker_has_no_foreign_handlers);
	tcase_add_test(t, ignored_signals_are_taken);
	tcase_add_test(t, terminal_tells_workers_itself);
}

Suite *
master_suite(void)
{
	Suite *s = suite_create("master");
	TCase *t = tcase_create("master");

	tcase_set_timeout(t, UNTIL_S);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, runs_the_workers_and_ends_with_them);
	tcase_add_test(t, code_of_a_worker_is_ours);
	tcase_add_test(t, worker_without_handlers_stops_in_order);
	tcase_add_test(t, crash_while_stopping_is_told);
	tcase_add_test(t, deaf_worker_is_killed);
	tcase_add_test(t, workers_die_with_the_master);
	tcase_add_test(t, workers_of_another_user_die_with_the_master);
	tcase_add_test(t, counters_are_shared_and_survive);
	tcase_add_test(t, nothing_without_a_master);
	add_restart_tests(t);
	add_signal_tests(t);
	suite_add_tcase(s, t);
	return s;
}
