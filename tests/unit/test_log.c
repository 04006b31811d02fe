/*
 * The log: what a line looks like, whatever is in it, and what happens when it cannot be written.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"

Suite *log_suite(void);

#define STAMP_LEN (CLOCK_ISO_LEN - 1)

static char dir[64];
static char path[96], path2[96];
static int  kept_stderr;

static void
set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/roost-test-log-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(path2, sizeof(path2), "%s/log.1", dir);
	kept_stderr = dup(STDERR_FILENO);
}

static void
tear_down(void)
{
	log_close();
	dup2(kept_stderr, STDERR_FILENO);
	close(kept_stderr);
	unlink(path);
	unlink(path2);
	rmdir(dir);
}

static void
open_log(const char *file, enum log_level level, bool json)
{
	const struct log_options o = { .level = level, .json = json, .file = file };

	ck_assert_int_eq(log_open(&o), 0);
}

static void
read_fd(int fd, struct buf *out)
{
	ssize_t n;

	while ((n = read(fd, buf_room(out, 4096), 4096)) > 0)
		out->n += (size_t)n;
}

/* Replaces what `out` holds by a NUL-terminated copy of the file. */
static const char *
contents(const char *file, struct buf *out)
{
	int fd = open(file, O_RDONLY);

	out->n = 0;
	ck_assert_int_ge(fd, 0);
	read_fd(fd, out);
	close(fd);
	*buf_room(out, 1) = '\0';
	return out->p;
}

#define UNTOUCHED(s) s, s, s

static const struct {
	const char *text;
	const char *as_text;
	const char *as_json;
} escapes[] = {
	{ "plain", "plain", "plain" },
	{ "", "", "" },
	{ "two\nlines\r\n", "two\\x0alines\\x0d\\x0a", "two\\u000alines\\u000d\\u000a" },
	{ "\t\x01\x1f", "\\x09\\x01\\x1f", "\\u0009\\u0001\\u001f" },
	{ "\x1b[31mred", "\\x1b[31mred", "\\u001b[31mred" },
	{ "\x7f", "\\x7f", "\\u007f" },
	{ "say \"x\" \\ y", "say \"x\" \\ y", "say \\\"x\\\" \\\\ y" },
	{ UNTOUCHED("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x93") },
	{ "\xc2\x80\xc2\x9bm\xc2\xa0", "\\xc2\\x80\\xc2\\x9bm\xc2\xa0", "\\u0080\\u009bm\xc2\xa0" },
	{ "\xe2\x80\xa8\xe2\x80\xae", "\\xe2\\x80\\xa8\\xe2\\x80\\xae", "\\u2028\\u202e" },
	{ "\xe2\x81\xa6\xe2\x81\xa9", "\\xe2\\x81\\xa6\\xe2\\x81\\xa9", "\\u2066\\u2069" },
	{ UNTOUCHED("\xe2\x80\xa7\xe2\x81\xaa") },
	/* not UTF-8: a lone continuation, cut short, overlong, a surrogate, too large */
	{ "\x80" "a", "\\x80a", "\\ufffda" },
	{ "a\xc3", "a\\xc3", "a\\ufffd" },
	{ "\xe2\x82" "a", "\\xe2\\x82a", "\\ufffd\\ufffda" },
	{ "\xf0\x9f\x90", "\\xf0\\x9f\\x90", "\\ufffd\\ufffd\\ufffd" },
	{ "\xc0\xaf", "\\xc0\\xaf", "\\ufffd\\ufffd" },
	{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf", "\\ufffd\\ufffd\\ufffd" },
	{ "\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf", "\\ufffd\\ufffd\\ufffd\\ufffd" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80", "\\ufffd\\ufffd\\ufffd" },
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\ufffd\\ufffd\\ufffd\\ufffd" },
	{ "\xff\xfe", "\\xff\\xfe", "\\ufffd\\ufffd" },
	{ UNTOUCHED("\xef\xbf\xbd") },
	{ UNTOUCHED("\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf") },
};

START_TEST(escapes_text)
{
	autobuf struct buf got = { 0 };
	char		   want[256];

	open_log(path, LOG_INFO_, false);
	log_warn("%s", escapes[_i].text);
	snprintf(want, sizeof(want), " warn %s\n", escapes[_i].as_text);
	ck_assert_str_eq(contents(path, &got) + STAMP_LEN, want);
	ck_assert_int_eq(got.p[STAMP_LEN - 1], 'Z');
}
END_TEST

START_TEST(escapes_json)
{
	autobuf struct buf got = { 0 };
	char		   want[256];

	open_log(path, LOG_INFO_, true);
	log_error("%s", escapes[_i].text);
	snprintf(want, sizeof(want), "\",\"level\":\"error\",\"msg\":\"%s\"}\n", escapes[_i].as_json);
	ck_assert_str_eq(contents(path, &got) + strlen("{\"time\":\"") + STAMP_LEN, want);
	ck_assert(slice_starts(buf_slice(&got), SLICE("{\"time\":\"2")));
}
END_TEST

START_TEST(names_the_peer)
{
	autobuf struct buf got = { 0 };

	open_log(path, LOG_DEBUG_, false);
	log_line(LOG_DEBUG_, "[::1]:\n5000", "%s %d", "text", 7);
	ck_assert_str_eq(contents(path, &got) + STAMP_LEN, " debug [[::1]:\\x0a5000] text 7\n");
	open_log(path2, LOG_DEBUG_, true);
	log_line(LOG_INFO_, "unix:\"a\"", "text");
	ck_assert_str_eq(contents(path2, &got) + strlen("{\"time\":\"") + STAMP_LEN,
	    "\",\"level\":\"info\",\"peer\":\"unix:\\\"a\\\"\",\"msg\":\"text\"}\n");
}
END_TEST

START_TEST(writes_only_what_is_wanted)
{
	autobuf struct buf got = { 0 };

	open_log(path, LOG_WARN_, false);
	ck_assert(log_wants(LOG_ERROR_) && log_wants(LOG_WARN_) && !log_wants(LOG_INFO_) && !log_wants(LOG_DEBUG_));
	log_info("no");
	log_debug("no");
	log_peer(LOG_INFO_, "peer", "no");
	ck_assert_str_eq(contents(path, &got), "");
	log_peer(LOG_WARN_, "peer", "yes");
	ck_assert_str_eq(contents(path, &got) + STAMP_LEN, " warn [peer] yes\n");
}
END_TEST

START_TEST(errno_is_kept_and_can_be_shown)
{
	autobuf struct buf got = { 0 };

	open_log("/dev/full", LOG_INFO_, false);
	errno = ECHILD;
	log_info("lost");
	ck_assert_int_eq(errno, ECHILD);
	open_log(path, LOG_INFO_, false);
	errno = ENOENT;
	log_info("%m");
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_ptr_nonnull(strstr(contents(path, &got), " info No such file or directory\n"));
}
END_TEST

/* A text of `unit` over and over, 3000 octets of it. */
static const char *
long_text(const char *unit)
{
	static char text[3001];

	text[0] = '\0';
	while (strlen(text) + strlen(unit) <= 3000)
		memcpy(text + strlen(text), unit, strlen(unit) + 1);
	return text;
}

static const struct {
	const char	*unit;
	bool		 json;
	size_t		 slack;		/* how much a line may be short of 1024, since nothing is cut in two */
} long_lines[] = {
	{ "x", false, 2 }, { "x", true, 0 },
	{ "\xf0\x9f\x90\x93", false, 5 }, { "\xf0\x9f\x90\x93", true, 3 },
	{ "\n", false, 5 }, { "\n", true, 5 },
	{ "\xe2\x80\xa8", false, 13 }, { "\"", true, 1 },
	{ "\xff", false, 5 }, { "\xff", true, 5 },
};

START_TEST(long_lines_are_cut)
{
	const char	  *end = long_lines[_i].json ? "...\"}\n" : "...\n", *unit = long_lines[_i].unit;
	autobuf struct buf got = { 0 };
	struct slice	   left;

	open_log(path, LOG_INFO_, long_lines[_i].json);
	log_line(LOG_INFO_, long_text(unit), "%s", long_text(unit));
	contents(path, &got);
	ck_assert_uint_le(got.n, 1025);
	ck_assert_uint_ge(got.n + long_lines[_i].slack, 1025);
	ck_assert_str_eq(got.p + got.n - strlen(end), end);
	ck_assert_ptr_eq(memchr(got.p, '\n', got.n), got.p + got.n - 1);
	/* the peer is cut too, and its last character is whole */
	left = slice_str(strstr(got.p, "..."));
	ck_assert_uint_gt(left.n, 500);
	ck_assert_uint_lt((size_t)(left.p - got.p), 330);
	if ((unsigned char)unit[0] == 0xf0)
		ck_assert_int_eq(memcmp(left.p - 4, unit, 4), 0);
}
END_TEST

START_TEST(just_fits)
{
	autobuf struct buf got = { 0 };

	open_log(path, LOG_INFO_, true);
	log_info("%.*s", 1024 - (int)(STAMP_LEN + strlen("{'time':'','level':'info','msg':''}")), long_text("y"));
	contents(path, &got);
	ck_assert_uint_eq(got.n, 1025);
	ck_assert_str_eq(got.p + got.n - 5, "yy\"}\n");
}
END_TEST

START_TEST(opens_for_append)
{
	autobuf struct buf got = { 0 };
	struct stat	   st;

	umask(0);
	open_log(path, LOG_INFO_, false);
	log_info("one");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	open_log(path, LOG_INFO_, false);
	log_info("two");
	contents(path, &got);
	ck_assert_ptr_nonnull(strstr(got.p, " one\n2"));
	ck_assert_ptr_nonnull(strstr(got.p, " two\n"));
}
END_TEST

START_TEST(reopens_after_rotation)
{
	autobuf struct buf got = { 0 };

	open_log(path, LOG_INFO_, false);
	log_info("one");
	ck_assert_int_eq(rename(path, path2), 0);
	log_info("two");
	ck_assert_int_eq(log_reopen(), 0);
	log_info("three");
	contents(path2, &got);
	ck_assert_ptr_nonnull(strstr(got.p, " two\n"));
	ck_assert_ptr_null(strstr(got.p, " three\n"));
	ck_assert_str_eq(contents(path, &got) + STAMP_LEN, " info three\n");
}
END_TEST

static uid_t
owner_of(const char *file)
{
	struct stat st;

	ck_assert_int_eq(stat(file, &st), 0);
	return st.st_uid;
}

/* Only root has something to give. */
START_TEST(roots_file_is_given_away)
{
	if (geteuid() != 0)
		return;
	open_log(path, LOG_INFO_, false);
	ck_assert_uint_eq(owner_of(path), 0);
	ck_assert_int_eq(log_give(65534, 65534), 0);
	ck_assert_uint_eq(owner_of(path), 65534);
	ck_assert_int_eq(rename(path, path2), 0);
	ck_assert_int_eq(log_reopen(), 0);
	ck_assert_uint_eq(owner_of(path), 65534);
	ck_assert_int_eq(log_give(0, 0), 0);
}
END_TEST

START_TEST(what_is_not_roots_is_left_alone)
{
	if (geteuid() != 0)
		return;
	open_log(path, LOG_INFO_, false);
	ck_assert_int_eq(chown(path, 1, 1), 0);
	ck_assert_int_eq(log_give(65534, 65534), 0);
	ck_assert_uint_eq(owner_of(path), 1);
	open_log("/dev/null", LOG_INFO_, false);
	ck_assert_uint_eq(owner_of("/dev/null"), 0);
	open_log(NULL, LOG_INFO_, false);
	ck_assert_int_eq(log_give(0, 0), 0);
}
END_TEST

START_TEST(old_descriptors_are_closed)
{
	int fd;

	open_log(path, LOG_INFO_, false);
	fd = open("/dev/null", O_RDONLY);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(log_reopen(), 0);
		open_log(i % 2 == 0 ? path2 : path, LOG_INFO_, false);
	}
	close(fd);
	ck_assert_int_eq(open("/dev/null", O_RDONLY), fd);
	log_close();
	ck_assert_int_eq(open("/dev/null", O_RDONLY), fd - 1);
	close(fd);
	close(fd - 1);
}
END_TEST

START_TEST(goes_on_where_it_was)
{
	struct log_options bad = { .level = LOG_DEBUG_, .json = true, .file = path2 };
	autobuf struct buf got = { 0 };

	open_log(path, LOG_INFO_, false);
	ck_assert_int_eq(symlink(path, path2), 0);
	ck_assert_int_eq(log_open(&bad), -ELOOP);
	bad.file = dir;
	ck_assert_int_eq(log_open(&bad), -EISDIR);
	bad.file = "/nowhere/log";
	ck_assert_int_eq(log_open(&bad), -ENOENT);
	log_debug("no");
	log_info("one");
	ck_assert_str_eq(contents(path, &got) + STAMP_LEN, " info one\n");
	/* nor does a reopening that fails lose the open file */
	ck_assert_int_eq(unlink(path2), 0);
	ck_assert_int_eq(rename(path, path2), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(log_reopen(), -EISDIR);
	log_info("two");
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_ptr_nonnull(strstr(contents(path2, &got), " info two\n"));
}
END_TEST

/* Puts one end of a pipe or a socket in the place of standard error; returns the other. */
static int
stand_in_for_stderr(bool socket)
{
	int fd[2];

	if (socket)
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	else
		ck_assert_int_eq(pipe(fd), 0);
	dup2(fd[1], STDERR_FILENO);
	close(fd[1]);
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	return fd[0];
}

START_TEST(standard_error_is_the_default)
{
	autobuf struct buf got = { 0 };
	int		   fd = stand_in_for_stderr(false);

	ck_assert(log_wants(LOG_INFO_) && !log_wants(LOG_DEBUG_));
	ck_assert_int_eq(log_reopen(), 0);
	log_info("before");
	open_log("", LOG_INFO_, true);
	log_info("json");
	open_log(path, LOG_INFO_, false);
	log_info("elsewhere");
	log_close();
	log_info("after");
	read_fd(fd, &got);
	buf_add_char(&got, '\0');
	ck_assert_ptr_nonnull(strstr(got.p, " info before\n{"));
	ck_assert_ptr_nonnull(strstr(got.p, "json\"}\n"));
	ck_assert_ptr_null(strstr(got.p, "elsewhere"));
	ck_assert_ptr_nonnull(strstr(got.p, " info after\n"));
	close(fd);
}
END_TEST

/* Nobody reads: with the descriptor blocking, this test would hang if the log did not look first. */
START_TEST(a_full_pipe_drops_and_tells)
{
	uint64_t	   before = stats->log_dropped_total;
	autobuf struct buf got = { 0 };
	int		   fd = stand_in_for_stderr(_i);
	char		   want[64];
	unsigned	   written = 0;

	open_log(NULL, LOG_INFO_, false);
	for (; log_dropped() == 0 && written < 100000; written++)
		log_info("%s", long_text("z"));
	for (int i = 0; i < 9; i++)
		log_info("dropped");
	ck_assert_uint_eq(log_dropped(), 10);
	ck_assert_uint_eq(stats->log_dropped_total, before + 10);
	read_fd(fd, &got);
	ck_assert_int_eq(got.p[got.n - 1], '\n');
	got.n = 0;
	log_info("again");
	log_info("and again");
	read_fd(fd, &got);
	buf_add_char(&got, '\0');
	snprintf(want, sizeof(want), " warn %d log lines could not be written\n2", 10);
	ck_assert_uint_eq((size_t)(strstr(got.p, want) - got.p), STAMP_LEN);
	ck_assert_ptr_nonnull(strstr(got.p, " info again\n"));
	ck_assert_ptr_nonnull(strstr(got.p, " info and again\n"));
	ck_assert_ptr_null(strstr(got.p, "dropped"));
	ck_assert_ptr_eq(strstr(got.p, "could not"), strrchr(got.p, 'c'));
	ck_assert_uint_eq(log_dropped(), 10);
	close(fd);
}
END_TEST

/* SIGPIPE is not ignored here: the log does not write at all to where nobody listens. */
START_TEST(a_reader_may_go_and_come_back)
{
	const struct log_options o = { .level = LOG_INFO_, .file = path };
	autobuf struct buf	 got = { 0 };
	int			 fd;

	signal(SIGPIPE, SIG_DFL);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(log_open(&o), -ENXIO);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	ck_assert_int_eq(log_open(&o), 0);
	log_info("one");
	close(fd);
	log_info("two");
	log_info("three");
	ck_assert_uint_eq(log_dropped(), 2);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	log_info("four");
	read_fd(fd, &got);
	buf_add_char(&got, '\0');
	ck_assert_ptr_nonnull(strstr(got.p, " 2 log lines could not be written\n"));
	ck_assert_ptr_nonnull(strstr(got.p, " info four\n"));
	close(fd);
}
END_TEST

START_TEST(a_full_disk_drops_and_tells)
{
	autobuf struct buf got = { 0 };

	open_log("/dev/full", LOG_ERROR_, false);
	log_error("one");
	log_error("two");
	log_info("not wanted, so not lost");
	ck_assert_uint_eq(log_dropped(), 2);
	open_log(path, LOG_ERROR_, false);
	log_error("three");
	contents(path, &got);
	ck_assert_ptr_nonnull(strstr(got.p, " warn 2 log lines could not be written\n"));
	ck_assert_ptr_nonnull(strstr(got.p, " error three\n"));
}
END_TEST

/* A file of limited size takes the first part of a line, as a disk does that is nearly full. */
START_TEST(a_torn_line_is_ended)
{
	autobuf struct buf got = { 0 };
	struct rlimit	   limit;
	const char	  *at;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	open_log(path, LOG_INFO_, false);
	log_info("one");
	limit.rlim_cur = 2 * (STAMP_LEN + strlen(" info one\n")) - 2;
	setrlimit(RLIMIT_FSIZE, &limit);
	log_info("two");
	log_info("three");
	ck_assert_uint_eq(log_dropped(), 2);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
	log_info("four");
	log_info("five");
	contents(path, &got);
	at = strstr(got.p, " info tw\n2");
	ck_assert_ptr_nonnull(at);
	ck_assert_ptr_eq(strstr(at, " warn 2 log lines could not be written\n2"), at + strlen(" info tw\n") + STAMP_LEN);
	ck_assert_ptr_nonnull(strstr(at, " info four\n2"));
	ck_assert_ptr_nonnull(strstr(at, " info five\n"));
}
END_TEST

START_TEST(a_burst_is_allowed)
{
	struct log_limit l = { 0 };
	unsigned	 left_out;

	for (unsigned second = 0; second < 3; second++) {
		for (unsigned i = 0; i < LOG_BURST; i++) {
			ck_assert(log_allowed(&l, second * 1000 + i, &left_out));
			ck_assert_uint_eq(left_out, i == 0 && second > 0 ? 5 : 0);
		}
		for (unsigned i = 0; i < 5; i++)
			ck_assert(!log_allowed(&l, second * 1000 + 999, &left_out));
	}
	ck_assert(log_allowed(&l, 3600000, &left_out));
	ck_assert_uint_eq(left_out, 5);
	ck_assert(log_allowed(&l, 3600001, &left_out));
	ck_assert_uint_eq(left_out, 0);
}
END_TEST

START_TEST(a_line_tells_what_was_left_out)
{
	struct log_limit   l = { .second = 1, .said = LOG_BURST, .left_out = 7 };
	autobuf struct buf got = { 0 };

	open_log(path, LOG_INFO_, false);
	log_limited(&l, LOG_DEBUG_, NULL, "not wanted");
	log_limited(&l, LOG_INFO_, "peer", "%s", "bad frame");
	ck_assert_str_eq(contents(path, &got) + STAMP_LEN, " info [peer] bad frame (and 7 like it left out)\n");
	l.left_out = 8;
	open_log(path2, LOG_INFO_, true);
	log_limited(&l, LOG_INFO_, "peer", "%s", long_text("w"));
	contents(path2, &got);
	ck_assert_uint_eq(got.n, 1025);
	ck_assert_ptr_nonnull(strstr(got.p, "w... (and 8 like it left out)\"}\n"));
}
END_TEST

Suite *
log_suite(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("log");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, escapes_text, 0, sizeof(escapes) / sizeof(escapes[0]));
	tcase_add_loop_test(tc, escapes_json, 0, sizeof(escapes) / sizeof(escapes[0]));
	tcase_add_test(tc, names_the_peer);
	tcase_add_test(tc, writes_only_what_is_wanted);
	tcase_add_test(tc, errno_is_kept_and_can_be_shown);
	tcase_add_loop_test(tc, long_lines_are_cut, 0, sizeof(long_lines) / sizeof(long_lines[0]));
	tcase_add_test(tc, just_fits);
	tcase_add_test(tc, opens_for_append);
	tcase_add_test(tc, reopens_after_rotation);
	tcase_add_test(tc, roots_file_is_given_away);
	tcase_add_test(tc, what_is_not_roots_is_left_alone);
	tcase_add_test(tc, old_descriptors_are_closed);
	tcase_add_test(tc, goes_on_where_it_was);
	tcase_add_test(tc, standard_error_is_the_default);
	tcase_add_loop_test(tc, a_full_pipe_drops_and_tells, 0, 2);
	tcase_add_test(tc, a_reader_may_go_and_come_back);
	tcase_add_test(tc, a_full_disk_drops_and_tells);
	tcase_add_test(tc, a_torn_line_is_ended);
	tcase_add_test(tc, a_burst_is_allowed);
	tcase_add_test(tc, a_line_tells_what_was_left_out);
	suite_add_tcase(s, tc);
	return s;
}
