/*
 * Users' lists, with a store that answers what and when the test says.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "history/userlists.h"

Suite *userlists_suite(void);

#define MAX_CALLS	256
#define MAX_NAMES	8

struct call {
	store_list_fn	*list;
	store_listed_fn	*listed;
	void		*arg;
	char		 text[64];	/* of what was asked */
};

struct view {
	struct userlist_view view;
	const char	*name;
	struct view	*closes;	/* when it is told something */
};

static struct loop *loop;
static struct userlists *lists;
static struct call calls[MAX_CALLS];
static unsigned n_calls, n_answered;
static int store_fault;
static char journal[1024];
/* They outlive their test by what ends it. */
static struct view a, b, third, other;

static void
note(const char *fmt, ...)
{
	size_t	n = strlen(journal);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(journal + n, sizeof(journal) - n, fmt, ap);
	va_end(ap);
}

#define noted(text)	noted_at(text, __LINE__)
static void
noted_at(const char *text, int line)
{
	ck_assert_msg(strcmp(journal, text) == 0, "line %d: the journal is \"%s\", not \"%s\"", line, journal, text);
	journal[0] = '\0';
}

static struct call *
call_new(void)
{
	ck_assert_uint_lt(n_calls, MAX_CALLS);
	return &calls[n_calls++];
}

static int
fake_list(struct store *s, struct slice user, struct slice list, store_list_fn *fn, void *arg)
{
	struct call *c;

	if (store_fault < 0)
		return store_fault;
	c = call_new();
	*c = (struct call){ .list = fn, .arg = arg };
	snprintf(c->text, sizeof(c->text), "%.*s/%.*s", SLICE_ARG(user), SLICE_ARG(list));
	return 0;
}

static int
fake_enlist(struct store *s, struct slice user, struct slice list, struct slice name, bool listed, store_listed_fn *fn,
    void *arg)
{
	struct call *c;

	if (store_fault < 0)
		return store_fault;
	c = call_new();
	*c = (struct call){ .listed = fn, .arg = arg };
	snprintf(c->text, sizeof(c->text), "%.*s/%.*s %c%.*s", SLICE_ARG(user), SLICE_ARG(list), listed ? '+' : '-',
	    SLICE_ARG(name));
	return 0;
}

static const struct store_ops ops = { .name = "fake", .list = fake_list, .enlist = fake_enlist };
static struct store store = { .ops = &ops };

/* The oldest thing that is asked is that. */
static struct call *
asked(const char *text)
{
	ck_assert_uint_lt(n_answered, n_calls);
	ck_assert_str_eq(calls[n_answered].text, text);
	return &calls[n_answered++];
}

static void
asked_nothing(void)
{
	ck_assert_uint_eq(n_answered, n_calls);
}

/* It is a read, which is answered with those names, one letter each, or an error. */
static void
answer(const char *text, int error, const char *letters)
{
	struct call  *c = asked(text);
	struct slice  names[MAX_NAMES];
	unsigned      n = 0;

	for (; letters[n] != '\0'; n++)
		names[n] = slice(&letters[n], 1);
	c->list(c->arg, error, error < 0 ? NULL : names, n);
}

static void
confirm(const char *text, int error)
{
	struct call *c = asked(text);

	c->listed(c->arg, error);
}

static void
close_another(struct view *v)
{
	if (v->closes != NULL)
		userlist_close(&v->closes->view);
}

static void
on_opened(struct userlist_view *view, int error)
{
	struct view *v = container_of(view, struct view, view);

	note("%s %s;", v->name, error == 0 ? "opened" : "failed");
	ck_assert((view->list == NULL) == (error != 0));
	close_another(v);
}

static void
on_changed(struct userlist_view *view)
{
	struct view *v = container_of(view, struct view, view);

	note("%s changed;", v->name);
	close_another(v);
}

static void
on_set(void *arg, int error)
{
	note("set %s;", error == 0 ? "ok" : strerror(-error));
}

static void
say(void *arg, struct slice user, struct slice list)
{
	note("say %.*s/%.*s;", SLICE_ARG(user), SLICE_ARG(list));
}

static void
view_open(struct view *v, const char *name, const char *user)
{
	*v = (struct view){ .name = name, .view = { .opened = on_opened, .changed = on_changed } };
	userlist_open(lists, slice_str(user), SLICE("blocks"), &v->view);
}

static bool
has(const struct view *v, const char *names)
{
	for (const char *at = names; *at != '\0'; at++)
		if (!userlist_has(&v->view, slice(at, 1)))
			return false;
	return userlist_count(&v->view) == strlen(names);
}

static void
pass(uint64_t ms)
{
	loop->now += ms;
	loop_end_turn(loop);
}

static void
begin(void)
{
	loop = loop_new();
	lists = userlists_new(loop, &store, say, NULL);
	n_calls = n_answered = 0;
	store_fault = 0;
	journal[0] = '\0';
}

static void
end(void)
{
	lists = userlists_free(lists);
	loop_free(loop);
}

START_TEST(one_read_for_all)
{
	view_open(&a, "a", "u");
	view_open(&b, "b", "u");
	view_open(&other, "other", "blocks:u");
	noted("");
	ck_assert(has(&a, ""));
	answer("u/blocks", 0, "xy");
	noted("a opened;b opened;");
	ck_assert(has(&a, "xy") && has(&b, "xy") && !userlist_has(&a.view, SLICE("z")) && !userlist_has(&a.view, SLICE("")));
	view_open(&third, "third", "u");
	noted("third opened;");
	ck_assert(has(&third, "xy"));
	answer("blocks:u/blocks", 0, "");
	noted("other opened;");
	ck_assert(has(&other, ""));
	asked_nothing();
}
END_TEST

START_TEST(another_node_changes_it)
{
	view_open(&a, "a", "u");
	answer("u/blocks", 0, "x");
	view_open(&b, "b", "u");
	noted("a opened;b opened;");
	userlists_on_changed(lists, SLICE("u"), SLICE("blocks"));
	userlists_on_changed(lists, SLICE("u"), SLICE("friends"));
	userlists_on_changed(lists, SLICE("v"), SLICE("blocks"));
	answer("u/blocks", 0, "yx");
	noted("a changed;b changed;");
	ck_assert(has(&a, "xy"));
	userlists_on_changed(lists, SLICE("u"), SLICE("blocks"));
	answer("u/blocks", 0, "xy");
	noted("");
	userlists_on_changed(lists, SLICE("u"), SLICE("blocks"));
	answer("u/blocks", 0, "zx");
	noted("a changed;b changed;");
	ck_assert(has(&b, "xz"));
	asked_nothing();
}
END_TEST

/* What is on its way may be older than the change. */
START_TEST(it_changes_while_it_is_read)
{
	view_open(&a, "a", "u");
	userlists_on_changed(lists, SLICE("u"), SLICE("blocks"));
	answer("u/blocks", 0, "x");
	noted("");
	answer("u/blocks", 0, "y");
	noted("a opened;");
	ck_assert(has(&a, "y"));
	userlists_on_changed(lists, SLICE("u"), SLICE("blocks"));
	userlists_resync(lists);
	answer("u/blocks", 0, "z");
	noted("");
	ck_assert(has(&a, "y"));
	answer("u/blocks", 0, "z");
	noted("a changed;");
	ck_assert(has(&a, "z"));
	asked_nothing();
}
END_TEST

START_TEST(it_cannot_be_read)
{
	store_fault = _i == 0 ? -ENOTCONN : 0;
	view_open(&a, "a", "u");
	if (_i == 1) {
		view_open(&b, "b", "u");
		answer("u/blocks", -EHOSTUNREACH, "");
	}
	noted(_i == 0 ? "a failed;" : "a failed;b failed;");
	ck_assert(has(&a, ""));
	userlist_close(&a.view);
	pass(5000);
	asked_nothing();
	store_fault = 0;
	view_open(&a, "a", "u");
	answer("u/blocks", 0, "x");
	noted("a opened;");
	ck_assert(has(&a, "x"));
}
END_TEST

/* Who knows it goes by what was known, and it is tried again. */
START_TEST(it_cannot_be_read_again)
{
	view_open(&a, "a", "u");
	answer("u/blocks", 0, "x");
	store_fault = _i == 0 ? -ENOTCONN : 0;
	userlists_on_changed(lists, SLICE("u"), SLICE("blocks"));
	if (_i == 1)
		answer("u/blocks", -EHOSTUNREACH, "");
	pass(500);
	asked_nothing();
	view_open(&b, "b", "u");
	noted("a opened;b opened;");
	ck_assert(has(&b, "x"));
	store_fault = 0;
	pass(1000);
	answer("u/blocks", 0, "y");
	noted("a changed;b changed;");
	asked_nothing();
	pass(5000);
	asked_nothing();
}
END_TEST

/* The bus is back: nobody waits for the next second. */
START_TEST(resync_does_not_wait)
{
	view_open(&a, "a", "u");
	answer("u/blocks", 0, "x");
	userlists_on_changed(lists, SLICE("u"), SLICE("blocks"));
	answer("u/blocks", -EHOSTUNREACH, "");
	userlists_resync(lists);
	answer("u/blocks", 0, "y");
	noted("a opened;a changed;");
	pass(5000);
	asked_nothing();
}
END_TEST

START_TEST(it_is_changed_here)
{
	view_open(&a, "a", "u");
	view_open(&b, "b", "u");
	answer("u/blocks", 0, "x");
	noted("a opened;b opened;");
	ck_assert_int_eq(userlist_set(&a.view, SLICE("y"), true, on_set, NULL), 0);
	noted("");
	confirm("u/blocks +y", 0);
	noted("a changed;b changed;say u/blocks;set ok;");
	ck_assert(has(&b, "xy"));
	ck_assert_int_eq(userlist_set(&a.view, SLICE("y"), true, on_set, NULL), 0);
	confirm("u/blocks +y", 0);
	noted("say u/blocks;set ok;");
	ck_assert_int_eq(userlist_set(&b.view, SLICE("x"), false, on_set, NULL), 0);
	confirm("u/blocks -x", 0);
	noted("a changed;b changed;say u/blocks;set ok;");
	ck_assert_int_eq(userlist_set(&b.view, SLICE("z"), true, on_set, NULL), 0);
	confirm("u/blocks +z", -ENOSPC);
	noted("set No space left on device;");
	ck_assert(has(&a, "y"));
	store_fault = -ENOTCONN;
	ck_assert_int_eq(userlist_set(&b.view, SLICE("z"), true, on_set, NULL), -ENOTCONN);
	noted("");
	asked_nothing();
}
END_TEST

/* It may have been done: all look. */
START_TEST(a_change_whose_outcome_is_not_known)
{
	view_open(&a, "a", "u");
	answer("u/blocks", 0, "x");
	ck_assert_int_eq(userlist_set(&a.view, SLICE("y"), true, on_set, NULL), 0);
	confirm("u/blocks +y", -EHOSTUNREACH);
	noted("a opened;say u/blocks;set No route to host;");
	answer("u/blocks", 0, "xy");
	noted("a changed;");
}
END_TEST

/* A read that was asked before the change, and answered behind it, knows nothing of it. */
START_TEST(a_change_overtakes_a_read)
{
	struct call *read;

	view_open(&a, "a", "u");
	answer("u/blocks", 0, "x");
	userlists_on_changed(lists, SLICE("u"), SLICE("blocks"));
	ck_assert_int_eq(userlist_set(&a.view, SLICE("y"), true, on_set, NULL), 0);
	read = asked("u/blocks");
	confirm("u/blocks +y", 0);
	noted("a opened;a changed;say u/blocks;set ok;");
	read->list(read->arg, 0, &(struct slice){ "x", 1 }, 1);
	noted("");
	ck_assert(has(&a, "xy"));
	answer("u/blocks", 0, "xy");
	noted("");
	asked_nothing();
}
END_TEST

START_TEST(who_changed_it_is_gone)
{
	view_open(&a, "a", "u");
	answer("u/blocks", 0, "x");
	ck_assert_int_eq(userlist_set(&a.view, SLICE("y"), true, on_set, NULL), 0);
	userlist_close(&a.view);
	noted("a opened;");
	confirm("u/blocks +y", 0);
	noted("say u/blocks;set ok;");
	ck_assert(has(&a, ""));
}
END_TEST

/* The list that is opened anew is another one. */
START_TEST(who_read_it_is_gone)
{
	view_open(&a, "a", "u");
	userlist_close(&a.view);
	view_open(&b, "b", "u");
	answer("u/blocks", 0, "x");
	noted("");
	answer("u/blocks", 0, "y");
	noted("b opened;");
	ck_assert(has(&b, "y"));
	userlists_on_changed(lists, SLICE("u"), SLICE("blocks"));
	userlist_close(&b.view);
	answer("u/blocks", 0, "z");
	noted("");
	pass(1);
	asked_nothing();
}
END_TEST

/* Whoever is told may close himself, or others, who then are told nothing. */
START_TEST(views_go_when_they_are_told)
{
	static struct view v[3];

	for (unsigned i = 0; i < 3; i++)
		view_open(&v[i], i == 0 ? "a" : i == 1 ? "b" : "c", "u");
	v[0].closes = &v[_i];
	if (_i == 2)
		v[1].closes = &v[0];
	answer("u/blocks", 0, "x");
	noted(_i == 0 ? "a opened;b opened;c opened;" : _i == 1 ? "a opened;c opened;" : "a opened;b opened;");
	v[1].closes = v[2].closes = NULL;
	userlists_on_changed(lists, SLICE("u"), SLICE("blocks"));
	answer("u/blocks", 0, "y");
	noted(_i == 0 ? "b changed;c changed;" : _i == 1 ? "a changed;c changed;" : "b changed;");
	for (unsigned i = 0; i < 3; i++)
		userlist_close(&v[i].view);
	pass(1);
}
END_TEST

/* The last view goes when it is told, for the first time or because nothing is known. */
START_TEST(the_last_view_goes)
{
	view_open(&a, "a", "u");
	a.closes = &a;
	answer("u/blocks", _i == 0 ? 0 : -EHOSTUNREACH, "");
	noted(_i == 0 ? "a opened;" : "a failed;");
	pass(1);
	userlists_resync(lists);
	asked_nothing();
}
END_TEST

#define MANY	100

/* Many lists are not read all at once. */
START_TEST(many_lists)
{
	static struct view v[MANY];
	char name[8];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "u%u", i);
		view_open(&v[i], "v", name);
	}
	ck_assert_uint_eq(n_calls, MANY);
	for (; n_answered < MANY; n_answered++)
		calls[n_answered].list(calls[n_answered].arg, 0, NULL, 0);
	journal[0] = '\0';
	userlists_resync(lists);
	ck_assert_uint_eq(n_calls, MANY + 64);
	for (; n_answered < n_calls; n_answered++)
		calls[n_answered].list(calls[n_answered].arg, 0, NULL, 0);
	ck_assert_uint_eq(n_calls, 2 * MANY);
	noted("");
}
END_TEST

/* What was asked is never answered: memory is for the sanitizer to look at. */
START_TEST(the_end_comes_first)
{
	view_open(&a, "a", "u");
	answer("u/blocks", 0, "xyz");
	view_open(&b, "b", "v");
	ck_assert_int_eq(userlist_set(&a.view, SLICE("y"), true, on_set, NULL), 0);
	lists = userlists_free(lists);
	ck_assert_ptr_null(a.view.list);
	ck_assert_ptr_null(b.view.list);
	noted("a opened;");
	ck_assert_ptr_null(userlists_free(NULL));
}
END_TEST

Suite *
userlists_suite(void)
{
	Suite *s = suite_create("userlists");
	TCase *t = tcase_create("lists");

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, one_read_for_all);
	tcase_add_test(t, another_node_changes_it);
	tcase_add_test(t, it_changes_while_it_is_read);
	tcase_add_loop_test(t, it_cannot_be_read, 0, 2);
	tcase_add_loop_test(t, it_cannot_be_read_again, 0, 2);
	tcase_add_test(t, resync_does_not_wait);
	tcase_add_test(t, it_is_changed_here);
	tcase_add_test(t, a_change_whose_outcome_is_not_known);
	tcase_add_test(t, a_change_overtakes_a_read);
	tcase_add_test(t, who_changed_it_is_gone);
	tcase_add_test(t, who_read_it_is_gone);
	tcase_add_loop_test(t, views_go_when_they_are_told, 0, 3);
	tcase_add_loop_test(t, the_last_view_goes, 0, 2);
	tcase_add_test(t, many_lists);
	tcase_add_test(t, the_end_comes_first);
	suite_add_tcase(s, t);
	return s;
}
