/*
 * roostctl: asks a running roostd by its HTTP API, and prints what it says; or mints a token.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "auth/dev.h"
#include "auth/token.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/units.h"
#include "ctl/caller.h"
#include "ctl/table.h"
#include "ctl/words.h"
#include "wire/json.h"

#define EX_REFUSED	1	/* the server said no */
#define EX_FLAGS	2	/* bad usage */
#define DEFAULT_URL	"http://127.0.0.1:4001"
#define DEFAULT_TTL	"12h"
#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* What the command line and the environment say. */
struct ctl {
	struct caller	 caller;
	bool		 json;
	const char	*api_key_file;
	const char	*secret_file;
	const char	*user;		/* of a token */
	const char	*ttl;
	struct buf	 claims;	/* members of an object */
	struct secret	 api_key;
	char	       **words;		/* behind the command's name */
	int		 n_words;
};

static const char usage_text[] =
    "usage: roostctl [-a ADMIN-URL] [-K FILE] [--json] COMMAND\n\n"
    "  nodes                       the nodes of the cluster\n"
    "  topics [PATTERN]            topics that somebody has joined\n"
    "  presence TOPIC              who is there\n"
    "  publish TOPIC EVENT JSON    broadcasts a message, a JSON object\n"
    "  history TOPIC               the newest messages that are kept\n"
    "  kick USER                   closes the user's connections on all nodes\n"
    "  token [--user ID] [--ttl TIME] [--claim NAME=VALUE]... [-k FILE]\n"
    "                              mints a token; no server is asked\n\n"
    "  -a, --admin ADMIN-URL       " DEFAULT_URL ", or unix:PATH; also ROOST_ADMIN_URL\n"
    "  -K, --api-key-file FILE     the API's key; also ROOST_API_KEY\n"
    "  -k, --key-file FILE         the secret of tokens; also ROOST_AUTH_SECRET\n"
    "  -j, --json                  prints JSON instead of tables\n"
    "  -V, --version               prints the version\n"
    "  -h, --help                  prints this\n";

static int
complain(int code, char *why)
{
	fprintf(stderr, "roostctl: %s\n", why);
	free(why);
	return code;
}

static int
complain_usage(const char *why)
{
	fprintf(stderr, "roostctl: %s; see roostctl -h\n", why);
	return EX_FLAGS;
}

/* Why the server said no. */
static int
complain_answer(const struct answer *a)
{
	struct json_object *error;
	autobuf struct buf  text = { 0 };
	const char	   *message = NULL;

	if (json_object_object_get_ex(a->json, "error", &error))
		message = answer_text(error, "message");
	if (message == NULL)
		return complain(EX_REFUSED, xasprintf("the server answers %ld, and not as roostd does", a->status));
	words_add_visible(&text, slice_str(message));
	return complain(EX_REFUSED, xasprintf("%.*s", SLICE_ARG(buf_slice(&text))));
}

/* 0 with an answer that is JSON, and fine; else the exit code. answer_done() it in either case. */
static int
call(const struct ctl *ctl, const char *method, const char *path, const char *body, struct answer *a)
{
	char *why = NULL;

	if (caller_call(&ctl->caller, method, path, body, a, &why) < 0)
		return complain(EX_UNAVAILABLE, why);
	return a->status == 200 && json_object_is_type(a->json, json_type_object) ? 0 : complain_answer(a);
}

/* "/api/KIND/NAME/REST"; for the caller to free. */
static char *
path_of(const char *kind, const char *name, const char *rest)
{
	autobuf struct buf escaped = { 0 };

	words_add_escaped(&escaped, slice_str(name));
	return xasprintf("/api/%s/%.*s%s", kind, SLICE_ARG(buf_slice(&escaped)), rest);
}

static void
print_json(const struct answer *a)
{
	printf("%s\n", a->body.p);
}

/* The array of that name, or NULL and 0. */
static size_t
array_of(struct json_object *object, const char *name, struct json_object **array)
{
	if (!json_object_object_get_ex(object, name, array) || !json_object_is_type(*array, json_type_array))
		return 0;
	return json_object_array_length(*array);
}

/* One row for each object of an array; "-" for what it lacks. */
static void
print_objects(struct json_object *array, size_t n, const struct table_column *columns, unsigned n_columns)
{
	struct table t;

	table_init(&t, columns, n_columns);
	for (size_t i = 0; i < n; i++)
		for (unsigned c = 0; c < n_columns; c++) {
			const char *text = answer_text(json_object_array_get_idx(array, i), columns[c].member);

			table_add(&t, slice_str(text != NULL ? text : "-"));
		}
	table_print(&t, stdout);
	table_done(&t);
}

/* Asks, and prints an array of the answer. */
static int
show_array(const struct ctl *ctl, const char *path, const char *name, const struct table_column *columns,
    unsigned n_columns)
{
	struct answer	    a __attribute__((cleanup(answer_done)));
	struct json_object *array;
	int		    r = call(ctl, "GET", path, NULL, &a);

	if (r != 0)
		return r;
	if (ctl->json)
		print_json(&a);
	else {
		size_t n = array_of(a.json, name, &array);

		print_objects(array, n, columns, n_columns);
	}
	return 0;
}

static int
run_nodes(struct ctl *ctl)
{
	static const struct table_column columns[] = {
		{ "NODE", "node", false }, { "UP", "up", false }, { "HOST", "host", false }, { "PID", "pid", true },
		{ "VERSION", "version", false }, { "LISTEN", "listen", false }, { "CONNECTIONS", "connections", true },
		{ "CHANNELS", "channels", true }, { "TOPICS", "topics", true }, { "IN/S", "messages_in", true },
		{ "OUT/S", "frames_out", true },
	};

	return show_array(ctl, "/api/nodes", "nodes", columns, COUNT(columns));
}

/* Nodes that are not in an answer: not part of what is printed, but it is less without them. */
static void
warn_silent(const struct answer *a)
{
	const char *silent = answer_text(a->json, "silent");

	if (silent != NULL)
		fprintf(stderr, "roostctl: nodes that have not answered: %s\n", silent);
}

/* Adds the topics of one page that match; *cursor (the caller's to free) is the next one's, NULL behind the last. */
static int
add_topics(const struct ctl *ctl, const char *pattern, char **cursor, struct json_object *out)
{
	autobuf struct buf  path = { 0 }, prefix = { 0 };
	struct answer	    a __attribute__((cleanup(answer_done))) = { 0 };
	struct json_object *topics;
	const char	   *next;
	int		    r;

	buf_add_str(&path, "/api/channels?limit=1000&prefix=");
	words_add_prefix(&prefix, pattern);
	words_add_escaped(&path, buf_slice(&prefix));
	buf_add_str(&path, "&cursor=");
	words_add_escaped(&path, slice_str(*cursor));
	buf_add_char(&path, '\0');
	r = call(ctl, "GET", path.p, NULL, &a);
	if (r != 0)
		return r;
	for (size_t i = 0, n = array_of(a.json, "channels", &topics); i < n; i++) {
		struct json_object *topic = json_object_array_get_idx(topics, i);
		const char	   *name = answer_text(topic, "name");

		if (name != NULL && fnmatch(pattern, name, 0) == 0)
			json_object_array_add(out, json_object_get(topic));
	}
	warn_silent(&a);
	next = answer_text(a.json, "next");
	free(*cursor);
	*cursor = next != NULL ? xstrdup(next) : NULL;
	return 0;
}

static int
run_topics(struct ctl *ctl)
{
	static const struct table_column columns[] = {
		{ "TOPIC", "name", false }, { "TYPE", "type", false }, { "MEMBERS", "memberCount", true },
		{ "NODES", "nodes", true },
	};
	struct json_object *all = json_object_new_object(), *topics = json_object_new_array();
	char		   *cursor = xstrdup("");
	int		    r = 0;

	json_object_object_add(all, "channels", topics);
	while (r == 0 && cursor != NULL)
		r = add_topics(ctl, ctl->n_words > 0 ? ctl->words[0] : "*", &cursor, topics);
	if (r == 0 && ctl->json)
		printf("%s\n", json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (r == 0)
		print_objects(topics, json_object_array_length(topics), columns, COUNT(columns));
	free(cursor);
	json_object_put(all);
	return r;
}

/* One row for each of a key's metas. */
static void
add_presences(struct table *t, const char *key, struct json_object *entry)
{
	struct json_object *metas;

	for (size_t i = 0, n = array_of(entry, "metas", &metas); i < n; i++) {
		struct json_object *meta = json_object_array_get_idx(metas, i);
		const char	   *ref = answer_text(meta, "phx_ref");

		table_add(t, slice_str(key));
		table_add(t, slice_str(ref != NULL ? ref : "-"));
		json_object_object_del(meta, "phx_ref");
		table_add(t, slice_str(json_object_to_json_string_ext(meta,
		    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)));
	}
}

static void
add_all_presences(struct table *t, struct json_object *presences)
{
	struct json_object_iterator at = json_object_iter_begin(presences), end = json_object_iter_end(presences);

	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
		add_presences(t, json_object_iter_peek_name(&at), json_object_iter_peek_value(&at));
}

static int
run_presence(struct ctl *ctl)
{
	static const struct table_column columns[] = {
		{ "KEY", NULL, false }, { "REF", NULL, false }, { "META", NULL, false },
	};
	autofree char		*path = path_of("channels", ctl->words[0], "/members");
	struct answer		 a __attribute__((cleanup(answer_done)));
	struct json_object	*presences = NULL;
	struct table		 t;
	int			 r = call(ctl, "GET", path, NULL, &a);

	if (r != 0)
		return r;
	if (ctl->json) {
		print_json(&a);
		return 0;
	}
	table_init(&t, columns, COUNT(columns));
	if (json_object_object_get_ex(a.json, "presences", &presences) && json_object_is_type(presences, json_type_object))
		add_all_presences(&t, presences);
	table_print(&t, stdout);
	table_done(&t);
	return 0;
}

static int
run_publish(struct ctl *ctl)
{
	autofree char	  *path = path_of("channels", ctl->words[0], "/messages");
	autobuf struct buf body = { 0 };
	struct answer	   a __attribute__((cleanup(answer_done))) = { 0 };
	const char	  *id, *delivered;
	int		   r;

	if (!words_are_object(ctl->words[2]))
		return complain_usage("expected a JSON object to publish");
	words_add_message(&body, ctl->words[1], ctl->words[2]);
	buf_add_char(&body, '\0');
	r = call(ctl, "POST", path, body.p, &a);
	if (r != 0)
		return r;
	id = answer_text(a.json, "id");
	delivered = answer_text(a.json, "delivered");
	if (ctl->json)
		print_json(&a);
	else
		printf("delivered to %s on that node%s%s\n", delivered != NULL ? delivered : "nobody knows how many", id != NULL ? ", id " : "",
		    id != NULL ? id : "");
	return 0;
}

static int
run_history(struct ctl *ctl)
{
	static const struct table_column columns[] = {
		{ "TIME", "timestamp", false }, { "ID", "id", false }, { "USER", "user_id", false }, { "EVENT", "event", false },
		{ "PAYLOAD", "payload", false },
	};
	autofree char *path = path_of("channels", ctl->words[0], "/history?limit=100");

	return show_array(ctl, path, "messages", columns, COUNT(columns));
}

static int
run_kick(struct ctl *ctl)
{
	autofree char *path = path_of("users", ctl->words[0], "/connections");
	struct answer  a __attribute__((cleanup(answer_done)));
	int	       r = call(ctl, "DELETE", path, NULL, &a);

	if (r != 0)
		return r;
	if (ctl->json)
		print_json(&a);
	else
		printf("disconnected %s\n", answer_text(a.json, "disconnected"));
	warn_silent(&a);
	return 0;
}

/* The secret that tokens are signed with; *kept holds it where it comes from a file. NULL with *why. */
static bool
token_secret(const struct ctl *ctl, struct secret *kept, struct slice *secret, char **why)
{
	const char    *variable = getenv("ROOST_AUTH_SECRET");
	autofree char *fault = NULL;

	*secret = slice_str(variable != NULL && variable[0] != '\0' ? variable : DEV_SECRET);
	if (ctl->secret_file == NULL)
		return true;
	if (secret_read_hidden(kept, ctl->secret_file, &fault) < 0) {
		*why = xasprintf("%s: %s", ctl->secret_file, fault);
		return false;
	}
	*secret = slice(kept->p, secret_line_len(kept));
	if (secret->n > 0 && memmem(secret->p, secret->n, "-----BEGIN", 10) == NULL)
		return true;
	*why = xasprintf("%s: expected the secret of an HMAC", ctl->secret_file);
	return false;
}

static bool
names_user(struct slice claims)
{
	return json_member(claims, "user_id").p != NULL || json_member(claims, "sub").p != NULL;
}

static int
run_token(struct ctl *ctl)
{
	autobuf struct buf claims = { 0 };
	struct secret	   kept __attribute__((cleanup(secret_done))) = { 0 };
	autofree char	  *token = NULL;
	struct slice	   secret;
	uint64_t	   ttl;
	char		  *why = NULL;
	int64_t		   now = wall_ms() / 1000;

	if (units_duration(ctl->ttl, &ttl) < 0 || ttl < 1000)
		return complain_usage("--ttl: expected a time such as 12h, or seconds");
	if (!token_secret(ctl, &kept, &secret, &why))
		return complain(EX_FLAGS, why);
	buf_addf(&claims, "{%.*s}", SLICE_ARG(buf_slice(&ctl->claims)));
	buf_add_char(&claims, '\0');
	token = token_mint_hs256(secret, ctl->user, now, now + (int64_t)(ttl / 1000), claims.p);
	if (token == NULL)
		return complain(EX_FLAGS, xstrdup("no token can be made of this: too long, or the user is no UTF-8"));
	if (ctl->user == NULL && !names_user(buf_slice(&claims)))
		fprintf(stderr, "roostctl: the token names no user (--user ID), so servers refuse it\n");
	printf(ctl->json ? "{\"token\":\"%s\"}\n" : "%s\n", token);
	return 0;
}

static const struct command {
	const char *name;
	int	    min, max;	/* words behind it */
	int	  (*run)(struct ctl *);
} commands[] = {
	{ "nodes", 0, 0, run_nodes },
	{ "topics", 0, 1, run_topics },
	{ "presence", 1, 1, run_presence },
	{ "publish", 3, 3, run_publish },
	{ "history", 1, 1, run_history },
	{ "kick", 1, 1, run_kick },
	{ "token", 0, 0, run_token },
};

/* The key of a file, of the environment, or of development. 0, or the exit code. */
static int
find_api_key(struct ctl *ctl)
{
	const char *variable = getenv("ROOST_API_KEY");
	const char *why;

	ctl->caller.key = variable != NULL && variable[0] != '\0' ? variable : DEV_API_KEY;
	if (ctl->api_key_file == NULL)
		return 0;
	why = secret_read(&ctl->api_key, ctl->api_key_file);
	if (why != NULL)
		return complain(EX_FLAGS, xasprintf("%s: %s", ctl->api_key_file, why));
	ctl->api_key.p[secret_line_len(&ctl->api_key)] = '\0';
	ctl->caller.key = ctl->api_key.p;
	return 0;
}

static int
run_command(struct ctl *ctl, const char *name)
{
	int r = find_api_key(ctl);

	for (size_t i = 0; r == 0 && i < COUNT(commands); i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		if (ctl->n_words < commands[i].min || ctl->n_words > commands[i].max)
			return complain_usage("wrong number of arguments");
		return commands[i].run(ctl);
	}
	return r != 0 ? r : complain_usage("unknown command");
}

enum { OPTION_USER = 256, OPTION_TTL, OPTION_CLAIM };

static const struct option options[] = {
	{ "admin", required_argument, NULL, 'a' },
	{ "api-key-file", required_argument, NULL, 'K' },
	{ "key-file", required_argument, NULL, 'k' },
	{ "json", no_argument, NULL, 'j' },
	{ "user", required_argument, NULL, OPTION_USER },
	{ "ttl", required_argument, NULL, OPTION_TTL },
	{ "claim", required_argument, NULL, OPTION_CLAIM },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

/* -1 to go on, or the exit code. */
static int
take_option(struct ctl *ctl, int code, const char *value)
{
	switch (code) {
	case 'a': ctl->caller.url = value; return -1;
	case 'K': ctl->api_key_file = value; return -1;
	case 'k': ctl->secret_file = value; return -1;
	case 'j': ctl->json = true; return -1;
	case OPTION_USER: ctl->user = value; return -1;
	case OPTION_TTL: ctl->ttl = value; return -1;
	case OPTION_CLAIM:
		return words_add_claim(&ctl->claims, value) ? -1 : complain_usage("--claim: expected NAME=VALUE");
	case 'V':
		printf("roostctl %s\n", PACKAGE_VERSION);
		return 0;
	case 'h':
		fputs(usage_text, stdout);
		return 0;
	default:
		fputs(usage_text, stderr);
		return EX_FLAGS;
	}
}

static int
ctl_main(struct ctl *ctl, int argc, char **argv)
{
	int code, r;

	while ((code = getopt_long(argc, argv, "a:K:k:jVh", options, NULL)) != -1) {
		r = take_option(ctl, code, optarg);
		if (r >= 0)
			return r;
	}
	if (optind == argc)
		return complain_usage("expected a command");
	ctl->words = argv + optind + 1;
	ctl->n_words = argc - optind - 1;
	return run_command(ctl, argv[optind]);
}

int
main(int argc, char **argv)
{
	const char *url = getenv("ROOST_ADMIN_URL");
	struct ctl  ctl = { .caller.url = url != NULL && url[0] != '\0' ? url : DEFAULT_URL, .ttl = DEFAULT_TTL };
	int	    code = ctl_main(&ctl, argc, argv);

	secret_done(&ctl.api_key);
	buf_done(&ctl.claims);
	if (fflush(stdout) != 0)
		return complain(EX_IOERR, xstrdup("the output cannot be written"));
	return code;
}
