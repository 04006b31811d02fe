/*
 * The configuration as a whole: defaults, then the file, then variables, then flags.
 */
#include "config/config.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "config/config_internal.h"

struct config_origin *
config_origin(const struct config_set *set, const struct config_option *o)
{
	return &set->origins[o - config_options];
}

struct config_set *
config_set_new(void)
{
	struct config_set *set = xcalloc(1, sizeof(*set));
	struct config_place at = { CONFIG_DEFAULT, NULL };
	char		  *why = NULL;
	int		   r;

	set->origins = xcalloc(config_n_options, sizeof(*set->origins));
	for (unsigned i = 0; i < config_n_options; i++) {
		r = config_put(set, &config_options[i], config_options[i].value, at, &why);
		assert(r == 0);
	}
	return set;
}

struct config_set *
config_free(struct config_set *set)
{
	if (set == NULL)
		return NULL;
	config_values_free(&set->config);
	for (unsigned i = 0; i < config_n_options; i++)
		free(set->origins[i].where);
	for (unsigned i = 0; i < set->n_given; i++) {
		free((char *)set->given[i].text);
		free((char *)set->given[i].where);
	}
	buf_done(&set->stale);
	free(set->origins);
	free(set->given);
	free(set->file);
	free(set);
	return NULL;
}

void
config_give(struct config_set *set, const struct config_given *given)
{
	struct config_given copy = *given;

	copy.text = xstrdup(given->text);
	copy.where = xstrdup(given->where);
	set->given = xrealloc(set->given, (set->n_given + 1) * sizeof(*set->given));
	set->given[set->n_given++] = copy;
}

static int
apply_one(struct config_set *set, const struct config_given *given, char **why)
{
	struct config_place at = { given->source, given->where };

	if (!given->append)
		return config_put(set, given->option, given->text, at, why);
	if (config_origin(set, given->option)->source != given->source)
		config_put_empty(set, given->option, at);
	return config_put_item(set, given->option, given->text, at, why);
}

static int
apply_given(struct config_set *set, enum config_source source, char **why)
{
	int r;

	for (unsigned i = 0; i < set->n_given; i++) {
		if (set->given[i].source != source)
			continue;
		r = apply_one(set, &set->given[i], why);
		if (r != 0)
			return r;
	}
	return 0;
}

/* Puts all that is known on top of the defaults. */
static int
config_build(struct config_set *set, char **why)
{
	int r;

	r = set->file != NULL ? config_file_read(set, why) : 0;
	if (r != 0)
		return r;
	r = apply_given(set, CONFIG_ENV, why);
	if (r != 0)
		return r;
	r = apply_given(set, CONFIG_FLAG, why);
	if (r != 0)
		return r;
	return config_check(set, why);
}

static int
config_read(struct config_set *set, int argc, char **argv, char **envp, enum config_action *action,
    char **why)
{
	int r;

	r = config_flags_read(set, argc, argv, action, why);
	if (r != 0 || config_is_question(*action))
		return r;
	r = config_env_read(set, envp, why);
	if (r != 0)
		return r;
	return config_build(set, why);
}

int
config_load(int argc, char **argv, char **envp, struct config_set **out, enum config_action *action,
    char **why)
{
	struct config_set *set = config_set_new();
	int		   r;

	*why = NULL;
	r = config_read(set, argc, argv, envp, action, why);
	*out = r == 0 && !config_is_question(*action) ? set : config_free(set);
	return r;
}

static bool
option_differs(const struct config_option *o, const struct config_set *a, const struct config_set *b)
{
	autobuf struct buf left = { 0 };
	autobuf struct buf right = { 0 };

	config_value_text(&a->config, o, &left);
	config_value_text(&b->config, o, &right);
	return !slice_eq(buf_slice(&left), buf_slice(&right));
}

/*
 * What only a restart changes stays as it is in the running node, and is noted. Otherwise a file could
 * bring the development secret to listeners that are no longer in it.
 */
static void
keep_old(struct config_set *set, const struct config_set *old)
{
	for (unsigned i = 0; i < config_n_options; i++) {
		const struct config_option *o = &config_options[i];

		if (o->reload || !option_differs(o, set, old))
			continue;
		buf_addf(&set->stale, "%s%s", set->stale.n > 0 ? ", " : "", o->name);
		config_copy(set, old, o);
	}
}

static int
reload(struct config_set *set, const struct config_set *old, char **why)
{
	int r;

	set->file = old->file != NULL ? xstrdup(old->file) : NULL;
	for (unsigned i = 0; i < old->n_given; i++)
		config_give(set, &old->given[i]);
	r = config_build(set, why);
	if (r != 0)
		return r;
	keep_old(set, old);
	return set->stale.n > 0 ? config_check(set, why) : 0;
}

int
config_reload(const struct config_set *old, struct config_set **out, char **why)
{
	struct config_set *set = config_set_new();
	int		   r;

	*why = NULL;
	r = reload(set, old, why);
	*out = r == 0 ? set : config_free(set);
	return r;
}

const struct config *
config_get(const struct config_set *set)
{
	return &set->config;
}

void
config_restart_needed(const struct config_set *old, const struct config_set *reloaded, struct buf *names)
{
	buf_add_slice(names, buf_slice(&reloaded->stale));
}
