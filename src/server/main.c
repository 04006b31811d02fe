/*
 * roostd: reads its configuration, then serves, alone or as the master of several workers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "auth/dev.h"
#include "auth/token.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "server/master.h"
#include "server/node.h"
#include "server/parts.h"
#include "server/process.h"

#define STOP_SLACK_MS		5000	/* beyond what a drain may take, until the master kills a worker */
#define DEV_TOKEN_SECONDS	(12 * 3600)

extern char **environ;

/* What a worker is made from. */
struct start {
	struct config_set *config;
	struct sockets	  *sockets;	/* one set per worker */
	unsigned	   workers;
};

static int
complain(int code, char *why)
{
	fprintf(stderr, "roostd: %s\n", why);
	free(why);
	return code;
}

/* With --dev, where to look and with what: on standard output, for people and scripts. */
static void
announce(const struct config *c, const struct sockets *sockets)
{
	int64_t		now = wall_ms() / 1000;
	autofree char  *token = token_mint_hs256(SLICE(DEV_SECRET), "dev", now, now + DEV_TOKEN_SECONDS, NULL);

	for (unsigned i = 0; c->dev && i < sockets->n; i++) {
		struct addr_listen plain = sockets->items[i].addr;
		char		   text[ADDR_LISTEN_LEN];

		if (sockets->items[i].admin || plain.path[0] != '\0' || plain.proxy)
			continue;
		plain.tls = false;
		printf("roostd: demo page http%s://%s/demo/\n", sockets->items[i].addr.tls ? "s" : "", addr_listen_text(&plain, text));
		break;
	}
	if (parts_key_kind(c) == PARTS_DEV_KEY && token != NULL)
		printf("roostd: token %s\n", token);
	fflush(stdout);
}

static void
warn_about(const struct config *c)
{
	if (parts_key_kind(c) == PARTS_NO_KEY && !c->auth_anonymous)
		log_warn("no JWT key is configured: every client will be refused; see -k, auth.anonymous and --dev in roostd(8)");
}

/* Keys and certificates are read, then privileges go, then we serve. */
static int
serve(struct config_set *config, struct sockets *sockets, int worker)
{
	const struct config *c = config_get(config);
	struct node	    *node;
	char		    *why = NULL;
	int		     code = EX_CONFIG, r;

	node = node_new(config, sockets, worker, &code, &why);
	if (node == NULL) {
		sockets_close(sockets, !sockets->shared);
		return complain(code, why);
	}
	r = process_become(c->user);
	if (r < 0) {
		log_error("cannot become user %s: %s", c->user, strerror(-r));
		node_free(node);
		return EX_NOPERM;
	}
	process_harden();
	master_worker_ready();
	code = node_run(node);
	node_free(node);
	return code;
}

static int
serve_as_worker(unsigned index, void *arg)
{
	struct start	  *start = arg;
	struct config_set *config = start->config;

	stats = master_slot(index);
	for (unsigned i = 0; i < start->workers; i++)
		if (i != index)
			sockets_close(&start->sockets[i], false);
	start->config = NULL;
	return serve(config, &start->sockets[index], (int)index);
}

/* The sockets stay open here too: a worker's restart loses no caller that waits. */
static int
serve_under_master(struct config_set *config)
{
	const struct config *c = config_get(config);
	struct start	     start = { .config = config, .workers = c->workers };
	char		    *why = NULL;
	int		     code = 0;

	start.sockets = xcalloc(c->workers, sizeof(*start.sockets));
	for (unsigned i = 0; i < c->workers && code == 0; i++)
		code = sockets_bind(c, true, i > 0 ? &start.sockets[0] : NULL, &start.sockets[i], &why);
	if (code == 0) {
		announce(c, &start.sockets[0]);
		code = master_run(&(struct master_options){ .workers = c->workers, .worker = serve_as_worker, .arg = &start,
			.stop_ms = c->drain_ms + c->close_ms + STOP_SLACK_MS });
	} else
		complain(code, why);
	for (unsigned i = 0; i < c->workers; i++)
		sockets_close(&start.sockets[i], i == 0 && start.config != NULL);
	free(start.sockets);
	config_free(start.config);
	return code;
}

static int
serve_alone(struct config_set *config)
{
	struct sockets sockets;
	char		   *why = NULL;
	int		    code = sockets_bind(config_get(config), false, NULL, &sockets, &why);

	if (code == 0) {
		announce(config_get(config), &sockets);
		return serve(config, &sockets, -1);
	}
	sockets_close(&sockets, true);
	config_free(config);
	return complain(code, why);
}

static int
check(struct config_set *config)
{
	char	    *why = NULL;
	int	     code;
	struct node *node = node_new(config, NULL, -1, &code, &why);

	if (node == NULL)
		return complain(code, why);
	node_free(node);
	printf("roostd: the configuration is fine\n");
	return 0;
}

static bool
is_forbidden(int error)
{
	return error == -EACCES || error == -EPERM;
}

/* 0, or the exit code. The file stays open, and locked, as long as we live. */
static int
take_pid_file(const struct config *c)
{
	int r;

	if (c->pid_file == NULL || c->pid_file[0] == '\0')
		return 0;
	r = process_pid_file(c->pid_file);
	if (r >= 0)
		return 0;
	log_error("%s: %s", c->pid_file, r == -EWOULDBLOCK ? "another roostd runs with this file" : strerror(-r));
	return is_forbidden(r) ? EX_NOPERM : EX_OSERR;
}

/* 0, or the exit code. */
static int
open_log(const struct config *c)
{
	int r = parts_log_open(c);

	if (r < 0)
		return is_forbidden(r) ? EX_NOPERM : EX_CONFIG;
	r = process_give_log(c->user);
	if (r == 0)
		return 0;
	log_error("user %s: %s", c->user, r == -ENOENT ? "there is none of that name" : strerror(-r));
	return is_forbidden(r) ? EX_NOPERM : EX_CONFIG;
}

static int
run(struct config_set *config)
{
	const struct config *c = config_get(config);
	int		     r = take_pid_file(c);

	if (r == 0)
		r = open_log(c);
	if (r != 0) {
		config_free(config);
		return r;
	}
	warn_about(c);
	r = c->workers > 1 || c->supervise ? serve_under_master(config) : serve_alone(config);
	log_close();
	return r;
}

int
main(int argc, char **argv)
{
	struct config_set  *config = NULL;
	enum config_action  action = CONFIG_RUN;
	char		   *why = NULL;
	int		    code;

	process_prepare();
	code = config_load(argc, argv, environ, &config, &action, &why);
	if (code != 0)
		return complain(code, why);
	switch (action) {
	case CONFIG_HELP:
		config_usage(stdout);
		break;
	case CONFIG_VERSION:
		printf("roostd %s\n", PACKAGE_VERSION);
		break;
	case CONFIG_DUMP:
		config_dump(config, stdout);
		break;
	case CONFIG_CHECK:
		return check(config);
	case CONFIG_RUN:
		return run(config);
	}
	config_free(config);
	return 0;
}
