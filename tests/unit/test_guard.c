/*
 * Guards: what may be written, and whom it lets in.
 */
#include "session/guard.h"

#include <check.h>
#include <stdlib.h>

#include "base/mem.h"

Suite *guard_suite(void);

/* An entry for the pattern, and what is said of it; NULL: it is fine. */
static const struct {
	const char *pattern, *entry, *fault;
} entries[] = {
	{ "*", "user", NULL },
	{ "*", "  user\t", NULL },
	{ "*", "anyone", NULL },
	{ "*", "claim a", NULL },
	{ "*", "claim a.b.c", NULL },
	{ "*", "claim a = b", NULL },
	{ "*", "claim\ta  =\tb c  ", NULL },
	{ "*", "claim a = =", NULL },
	{ "*", "claim a contains b", NULL },
	{ "*", "claim a contains contains", NULL },
	{ "*", "claim contains contains x", NULL },
	{ "*", "claim a = {*}", NULL },
	{ "*", "claim a = {user}", NULL },
	{ "*", "claim a = }", NULL },
	{ "*", "claim https://x.example/roles contains b", NULL },
	{ "a:{b}:{c}", "claim a = {c}-{user}-{b}{b}", NULL },
	{ "*", "", "begins with none of \"user\", \"anyone\" and \"claim\"" },
	{ "*", " ", "begins with none of \"user\", \"anyone\" and \"claim\"" },
	{ "*", "User", "begins with none of \"user\", \"anyone\" and \"claim\"" },
	{ "*", "users", "begins with none of \"user\", \"anyone\" and \"claim\"" },
	{ "*", "role = admin", "begins with none of \"user\", \"anyone\" and \"claim\"" },
	{ "*", "user u1", "has more than one word" },
	{ "*", "anyone else", "has more than one word" },
	{ "*", "claim", "lacks the name of a claim" },
	{ "*", "claim = b", "has a \"=\" without blanks around it" },
	{ "*", "claim a=b", "has a \"=\" without blanks around it" },
	{ "*", "claim a= b", "has a \"=\" without blanks around it" },
	{ "*", "claim .a", "has a claim's name with nothing before or behind a dot" },
	{ "*", "claim a.", "has a claim's name with nothing before or behind a dot" },
	{ "*", "claim a..b = c", "has a claim's name with nothing before or behind a dot" },
	{ "*", "claim a =b", "has neither \"=\" nor \"contains\" behind the name of a claim" },
	{ "*", "claim a == b", "has neither \"=\" nor \"contains\" behind the name of a claim" },
	{ "*", "claim a has b", "has neither \"=\" nor \"contains\" behind the name of a claim" },
	{ "*", "claim a =", "lacks a value" },
	{ "*", "claim a contains  ", "lacks a value" },
	{ "a:{b}", "claim a.{b}", "has a capture in the name of a claim" },
	{ "*", "claim a = {", "has a \"{\" without name and \"}\"" },
	{ "*", "claim a = x{}", "has a \"{\" without name and \"}\"" },
	{ "*", "claim a = {user}{b", "has a \"{\" without name and \"}\"" },
	{ "*", "claim a = {b}", "names a capture that the pattern has not" },
	{ "a:{b}", "claim a = {*}", "names a capture that the pattern has not" },
	{ "a:{b}", "claim a = {B}", "names a capture that the pattern has not" },
	{ "a:{bc}", "claim a = {b}", "names a capture that the pattern has not" },
};

START_TEST(reading)
{
	const char    *list[] = { "user", entries[_i].entry, NULL };
	autofree char *why = NULL, *want = NULL;
	struct guard  *g = guard_new(entries[_i].pattern, list, &why);

	if (entries[_i].fault != NULL) {
		want = xasprintf("allow entry \"%s\" %s", entries[_i].entry, entries[_i].fault);
		ck_assert_ptr_null(g);
		ck_assert_str_eq(why, want);
	} else
		ck_assert_msg(g != NULL, "%s: %s", entries[_i].entry, why);
	ck_assert_ptr_null(guard_free(g));
}
END_TEST

#define CLAIMS "{\"role\":\"admin\",\"level\":5,\"price\":1.50,\"vip\":true,\"banned\":false,\"none\":null,\"empty\":\"\",\"zero\":0," \
	"\"teams\":[\"red\",7,true,null,[\"deep\"],\"a b\"],\"scope\":\"read  write\\tx:y\",\"nobody\":[],\"team\":\"a:1\"," \
	"\"app\":{\"role\":\"owner\",\"in\":{\"groups\":[\"g1\"]}},\"app.flat\":\"yes\",\"text\":\"q\\\"u\\u00e9\"," \
	"\"https://x.example/roles\":[\"editor\"],\"twice\":\"no\",\"twice\":\"yes\",\"id\":\"u1\",\"bad\":\"\\ud800\"}"

#define R	"room:*"
#define T	"team-{team}"

/* Is u1, of CLAIMS, let into the topic? */
static const struct {
	const char *pattern, *topic, *entry;
	bool allows;
} verdicts[] = {
	{ R, "room:a", "user", true },
	{ R, "room:a", "anyone", true },
	/* Is there such a claim? */
	{ R, "room:a", "claim role", true },
	{ R, "room:a", "claim Role", false },
	{ R, "room:a", "claim rol", false },
	{ R, "room:a", "claim banned", false },
	{ R, "room:a", "claim none", false },
	{ R, "room:a", "claim vip", true },
	{ R, "room:a", "claim empty", true },
	{ R, "room:a", "claim zero", true },
	{ R, "room:a", "claim nobody", true },
	{ R, "room:a", "claim app", true },
	/* Is it that? */
	{ R, "room:a", "claim role = admin", true },
	{ R, "room:a", "claim role = admi", false },
	{ R, "room:a", "claim role = admins", false },
	{ R, "room:a", "claim role = \"admin\"", false },
	{ R, "room:a", "claim role = Admin", false },
	{ R, "room:a", "claim level = 5", true },
	{ R, "room:a", "claim level = 5.0", false },
	{ R, "room:a", "claim price = 1.50", true },
	{ R, "room:a", "claim vip = true", true },
	{ R, "room:a", "claim vip = 1", false },
	{ R, "room:a", "claim banned = false", true },
	{ R, "room:a", "claim none = null", false },
	{ R, "room:a", "claim missing = null", false },
	{ R, "room:a", "claim text = q\"u\xc3\xa9", true },
	{ R, "room:a", "claim teams = red", false },
	{ R, "room:a", "claim nobody = []", false },
	{ R, "room:a", "claim bad = \\ud800", false },
	{ R, "room:a", "claim twice = yes", true },
	{ R, "room:a", "claim twice = no", false },
	/* Into objects. */
	{ R, "room:a", "claim app.role = owner", true },
	{ R, "room:a", "claim app.role = admin", false },
	{ R, "room:a", "claim app.in.groups contains g1", true },
	{ R, "room:a", "claim app.in.groups.g1", false },
	{ R, "room:a", "claim app.role.x", false },
	{ R, "room:a", "claim app.missing", false },
	{ R, "room:a", "claim role.length", false },
	{ R, "room:a", "claim app.flat = yes", true },
	{ R, "room:a", "claim https://x.example/roles contains editor", true },
	/* Does it hold that? */
	{ R, "room:a", "claim teams contains red", true },
	{ R, "room:a", "claim teams contains 7", true },
	{ R, "room:a", "claim teams contains true", true },
	{ R, "room:a", "claim teams contains null", false },
	{ R, "room:a", "claim teams contains deep", false },
	{ R, "room:a", "claim teams contains re", false },
	{ R, "room:a", "claim teams contains a b", true },
	{ R, "room:a", "claim scope contains read", true },
	{ R, "room:a", "claim scope contains write", true },
	{ R, "room:a", "claim scope contains x:y", true },
	{ R, "room:a", "claim scope contains x", false },
	{ R, "room:a", "claim scope contains read  write", false },
	{ R, "room:a", "claim nobody contains red", false },
	{ R, "room:a", "claim empty contains x", false },
	{ R, "room:a", "claim role contains admin", true },
	{ R, "room:a", "claim level contains 5", false },
	{ R, "room:a", "claim app contains role", false },
	{ R, "room:a", "claim bad contains x", false },
	/* What the topic says. */
	{ T, "team-red", "claim teams contains {team}", true },
	{ T, "team-blue", "claim teams contains {team}", false },
	{ T, "team-re", "claim teams contains {team}", false },
	{ T, "team-null", "claim teams contains {team}", false },
	{ T, "team-{team}", "claim teams contains {team}", false },
	{ T, "team-{user}", "claim id = {team}", false },
	{ T, "team-dmin", "claim role = a{team}", true },
	{ T, "team-e", "claim teams contains r{team}d", true },
	{ R, "room:red", "claim teams contains {*}", true },
	{ R, "room:", "claim teams contains {*}", false },
	{ R, "room:", "claim teams contains red{*}", false },
	{ "{a}:{b}", "a:1", "claim team = {a}:{b}", true },
	{ "{a}:{b}", "1:a", "claim team = {b}:{a}", true },
	{ "{a}:{b}", "a:2", "claim team = {a}:{b}", false },
	/* Who it is; but a capture of that name is the topic's. */
	{ R, "room:a", "claim id = {user}", true },
	{ R, "room:a", "claim role = {user}", false },
	{ "user:{user}", "user:u1", "claim id = {user}", true },
	{ "user:{user}", "user:u2", "claim id = {user}", false },
};

static bool
allows(const char *pattern, const char *topic, const char *const *list, const char *user, const char *claims)
{
	const struct guard_case c = {
		.pattern = pattern, .topic = slice_str(topic), .user = slice_str(user), .claims = slice_str(claims),
	};
	autofree char *why = NULL;
	struct guard  *g = guard_new(pattern, list, &why);
	bool	       yes;

	ck_assert_msg(g != NULL, "%s", why);
	yes = guard_allows(g, &c);
	guard_free(g);
	return yes;
}

START_TEST(verdict)
{
	const char *list[] = { verdicts[_i].entry, NULL };

	ck_assert_msg(allows(verdicts[_i].pattern, verdicts[_i].topic, list, "u1", CLAIMS) == verdicts[_i].allows, "%s on %s",
	    verdicts[_i].entry, verdicts[_i].topic);
}
END_TEST

START_TEST(anonymous)
{
	const char *const user[] = { "user", NULL }, *const anyone[] = { "anyone", NULL },
	    *const claim[] = { "claim id", "claim id = {user}", "claim id contains {user}", NULL };

	ck_assert(!allows(R, "room:a", user, "", "{}"));
	ck_assert(allows(R, "room:a", anyone, "", "{}"));
	ck_assert(!allows(R, "room:a", claim, "", "{}"));
	/* A token without a user is nobody, whatever it says of nobody. */
	ck_assert(!allows(R, "room:a", claim + 1, "", "{\"id\":\"\"}"));
	ck_assert(allows(R, "room:a", claim, "", "{\"id\":\"\"}"));
}
END_TEST

START_TEST(any_one_suffices)
{
	const char *const none[] = { NULL }, *const one[] = { "claim nothing", "claim role = admin", "claim banned", NULL },
	    *const no[] = { "claim nothing", "claim role = user", NULL };

	ck_assert(!allows(R, "room:a", none, "u1", CLAIMS));
	ck_assert(allows(R, "room:a", one, "u1", CLAIMS));
	ck_assert(!allows(R, "room:a", no, "u1", CLAIMS));
}
END_TEST

Suite *
guard_suite(void)
{
	Suite *s = suite_create("guard");
	TCase *t = tcase_create("guard");

	tcase_add_loop_test(t, reading, 0, sizeof(entries) / sizeof(entries[0]));
	tcase_add_loop_test(t, verdict, 0, sizeof(verdicts) / sizeof(verdicts[0]));
	tcase_add_test(t, anonymous);
	tcase_add_test(t, any_one_suffices);
	suite_add_tcase(s, t);
	return s;
}
