/*
 * The runner of the unit tests: `roost-unit` runs all suites, `roost-unit [-v] NAME...` those named, and
 * `roost-unit -x NAME...` all others.
 * A suite NAME lives in test_NAME.c and is made by NAME_suite().
 */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITES(X) \
	X(addr) \
	X(api_key) \
	X(audience) \
	X(auth) \
	X(authorizer) \
	X(b64) \
	X(batch) \
	X(broker_redis) \
	X(buf) \
	X(call) \
	X(catchup) \
	X(census) \
	X(channel) \
	X(channel_fields) \
	X(channel_history) \
	X(channel_list) \
	X(channel_presence) \
	X(channel_say) \
	X(channel_transact) \
	X(chat) \
	X(classes) \
	X(clock) \
	X(cluster) \
	X(cluster_message) \
	X(codec) \
	X(comments) \
	X(config) \
	X(deflate) \
	X(delta) \
	X(devices) \
	X(dispatch) \
	X(drain) \
	X(envelope) \
	X(feed) \
	X(fetch) \
	X(frame) \
	X(guard) \
	X(happenings) \
	X(history) \
	X(history_redis) \
	X(http) \
	X(http_server) \
	X(hub) \
	X(id) \
	X(identity) \
	X(inquiry) \
	X(join) \
	X(json) \
	X(list) \
	X(listener) \
	X(log) \
	X(longpoll) \
	X(longpoll_message) \
	X(longpoll_token) \
	X(loop) \
	X(map) \
	X(master) \
	X(mem) \
	X(members) \
	X(merge) \
	X(message) \
	X(origin) \
	X(outq) \
	X(pages) \
	X(phoenix_v1) \
	X(phoenix_v2) \
	X(presence_class) \
	X(presence_view) \
	X(proxied) \
	X(proxy) \
	X(pubsub) \
	X(pusher_class) \
	X(pusher_codec) \
	X(rates) \
	X(redis) \
	X(redis_url) \
	X(replica) \
	X(room) \
	X(routes) \
	X(session) \
	X(signaling) \
	X(stats) \
	X(store) \
	X(stream) \
	X(table) \
	X(sync) \
	X(tls) \
	X(token) \
	X(tracker) \
	X(tracker_nodes) \
	X(transact) \
	X(units) \
	X(url) \
	X(userlists) \
	X(utf8) \
	X(uuid) \
	X(websocket) \
	X(wheel) \
	X(words) \
	X(ws) \
	X(ws_handshake)

#define DECLARE(name)	Suite *name##_suite(void);
SUITES(DECLARE)

#define ROW(name)	{ #name, name##_suite },
static const struct {
	const char	*name;
	Suite		*(*make)(void);
} suites[] = { SUITES(ROW) };

#define N_SUITES	(sizeof(suites) / sizeof(suites[0]))

struct totals {
	int	run;
	int	failed;
};

static bool
is_named(const char *name, int n, char **names)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* Each suite has a runner of its own, as what a runner remembers makes its forks slower and slower. */
static void
run_suite(Suite *suite, enum print_output how, struct totals *t)
{
	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, how);
	t->run += srunner_ntests_run(runner);
	t->failed += srunner_ntests_failed(runner);
	srunner_free(runner);
}

int
main(int argc, char **argv)
{
	struct totals t = { 0 };
	bool	      verbose = argc > 1 && strcmp(argv[1], "-v") == 0, others = argc > 1 && strcmp(argv[1], "-x") == 0;
	int	      first = verbose || others ? 2 : 1, n = argc - first;
	unsigned      named = 0;

	for (size_t i = 0; i < N_SUITES; i++) {
		bool is = is_named(suites[i].name, n, argv + first);

		named += is;
		if (n == 0 || is != others)
			run_suite(suites[i].make(), verbose ? CK_VERBOSE : CK_NORMAL, &t);
	}
	printf("unit: %d passed, %d failed\n", t.run - t.failed, t.failed);
	if (named != (unsigned)n) {
		fprintf(stderr, "roost-unit: no such suite\n");
		return 2;
	}
	return t.failed == 0 && t.run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
