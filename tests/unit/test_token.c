/*
 * Minted tokens: what is in them, and that auth takes them.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "auth/auth.h"
#include "auth/token.h"
#include "base/b64.h"

Suite *token_suite(void);

#define SECRET	"0123456789abcdef0123456789abcdef"
#define NOW	1700000000

/* The text of part `i` of a token, NUL-terminated into out[]. */
static void
part(const char *token, unsigned i, char *out)
{
	ssize_t n;

	while (i-- > 0)
		token = strchr(token, '.') + 1;
	n = b64_decode(B64_URL, slice(token, strcspn(token, ".")), (uint8_t *)out);
	ck_assert_int_ge(n, 0);
	out[n] = '\0';
}

START_TEST(says_who_and_how_long)
{
	char *token = token_mint_hs256(SLICE(SECRET), "u-1", NOW, NOW + 60, NULL);
	char  text[512];

	ck_assert_ptr_nonnull(token);
	part(token, 0, text);
	ck_assert_str_eq(text, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}");
	part(token, 1, text);
	ck_assert_str_eq(text, "{\"exp\":1700000060,\"iat\":1700000000,\"sub\":\"u-1\",\"user_id\":\"u-1\"}");
	free(token);
}
END_TEST

START_TEST(adds_and_overrides)
{
	char *token = token_mint_hs256(SLICE(SECRET), NULL, NOW, NOW + 60, "{\"role\":\"admin\",\"exp\":1}");
	char  text[512];

	ck_assert_ptr_nonnull(token);
	part(token, 1, text);
	ck_assert_str_eq(text, "{\"exp\":1,\"iat\":1700000000,\"role\":\"admin\"}");
	free(token);
}
END_TEST

START_TEST(is_taken_by_auth)
{
	struct auth_key_options key = { .secret = SECRET };
	struct auth		*a;
	struct identity		*who;
	const char		*why;
	char			*problem, *token;

	a = auth_new(&(struct auth_options){ .keys = &key, .n_keys = 1 }, &problem);
	token = token_mint_hs256(SLICE(SECRET), "żółw 1", NOW, NOW + 60, "{\"username\":\"Ann\"}");
	ck_assert_int_eq(auth_verify(a, slice_str(token), NOW * 1000LL, &who, &why), 0);
	ck_assert(slice_is(who->user, "żółw 1"));
	ck_assert(slice_is(who->name, "Ann"));
	ck_assert_int_eq(who->expires, NOW + 60);
	identity_unref(who);
	token[strlen(token) - 2] ^= 1;
	ck_assert_int_eq(auth_verify(a, slice_str(token), NOW * 1000LL, &who, &why), -EACCES);
	free(token);
	auth_free(a);
}
END_TEST

static const struct {
	const char *user, *extra;
} refused[] = {
	{ "u", "" },
	{ "u", "\"a\":1" },
	{ "u", "[1]" },
	{ "u", "{\"a\":1,\"a\":2}" },
	{ "u", "{\"a\":1" },
	{ "\xff", NULL },
};

START_TEST(refuses)
{
	ck_assert_ptr_null(token_mint_hs256(SLICE(SECRET), refused[_i].user, NOW, NOW + 60, refused[_i].extra));
}
END_TEST

START_TEST(refuses_an_empty_secret)
{
	ck_assert_ptr_null(token_mint_hs256(SLICE(""), "u", NOW, NOW + 60, NULL));
}
END_TEST

START_TEST(refuses_what_would_be_too_long)
{
	static const size_t lengths[] = { 2500, 3100, 4000, 9000, 1000000 };
	char		   *user, *token;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		user = malloc(lengths[i] + 1);
		memset(user, 'u', lengths[i]);
		user[lengths[i]] = '\0';
		token = token_mint_hs256(SLICE(SECRET), user, NOW, NOW + 60, NULL);
		ck_assert_int_eq(token != NULL, i == 0);
		free(token);
		free(user);
	}
}
END_TEST

Suite *
token_suite(void)
{
	Suite *s = suite_create("token");
	TCase *t = tcase_create("token");

	tcase_add_test(t, says_who_and_how_long);
	tcase_add_test(t, adds_and_overrides);
	tcase_add_test(t, is_taken_by_auth);
	tcase_add_loop_test(t, refuses, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(t, refuses_an_empty_secret);
	tcase_add_test(t, refuses_what_would_be_too_long);
	suite_add_tcase(s, t);
	return s;
}
