/*
 * The command line and the environment: both are kept as they were given, for the file may change under
 * them.
 */
#include <getopt.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/mem.h"
#include "config/config_internal.h"

#define EX_FLAGS	2	/* bad usage */
#define FIRST_OPTION	512	/* getopt's code for the long flag of config_options[0] */
#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* Flags that are no option of the table. Those with a letter have it as their code. */
enum command_code { DUMP = 256 };

static const struct command {
	int	    code;
	const char *name;
	const char *arg;	/* NULL = none */
	const char *help;
} commands[] = {
	{ 'c', "config", "FILE", "read this configuration file" },
	{ 'o', "option", "NAME=VALUE", "set any option, as -o limits.max_message=64k" },
	{ 'v', "verbose", NULL, "log more: debug instead of info" },
	{ 'T', "check-config", NULL, "check the configuration and exit" },
	{ DUMP, "dump", NULL, "print the configuration and where it comes from, and exit" },
	{ 'V', "version", NULL, "print the version and exit" },
	{ 'h', "help", NULL, "print this and exit" },
};

/* What getopt_long() wants to know. */
struct flags {
	char	      letters[128];
	struct option names[128];
};

static bool
takes_argument(const struct config_option *o)
{
	return o->type != CONFIG_BOOL;
}

static void
flags_add(struct flags *f, unsigned *n, int code, const char *name, bool has_arg)
{
	size_t at = strlen(f->letters);

	f->names[(*n)++] = (struct option){ name, has_arg ? required_argument : no_argument, NULL, code };
	if (code < DUMP)
		snprintf(f->letters + at, sizeof(f->letters) - at, "%c%s", code, has_arg ? ":" : "");
}

static void
flags_init(struct flags *f)
{
	unsigned n = 0;

	/* "+": no argument stands among flags; ":": an argument that is missing is told from an unknown flag. */
	*f = (struct flags){ .letters = "+:" };
	for (size_t i = 0; i < COUNT(commands); i++)
		flags_add(f, &n, commands[i].code, commands[i].name, commands[i].arg != NULL);
	for (unsigned i = 0; i < config_n_options; i++) {
		const struct config_option *o = &config_options[i];

		if (o->long_flag != NULL)
			flags_add(f, &n, o->flag != '\0' ? o->flag : FIRST_OPTION + (int)i, o->long_flag, takes_argument(o));
	}
}

/* The row behind getopt's code, NULL for a command. */
static const struct config_option *
flag_option(int code)
{
	if (code >= FIRST_OPTION)
		return &config_options[code - FIRST_OPTION];
	for (unsigned i = 0; i < config_n_options; i++)
		if (config_options[i].flag != '\0' && config_options[i].flag == code)
			return &config_options[i];
	return NULL;
}

static int
refuse(char **why, char *text)
{
	*why = text;
	return EX_FLAGS;
}

/* -l ADDRESS and its like. A list grows with each. */
static void
give_flag(struct config_set *set, const struct config_option *o, const char *arg)
{
	autofree char *where = o->flag != '\0' ? xasprintf("-%c", o->flag) : xasprintf("--%s", o->long_flag);

	config_give(set, &(struct config_given){
		.option = o,
		.text = takes_argument(o) ? arg : "yes",
		.source = CONFIG_FLAG,
		.where = where,
		.append = o->type == CONFIG_LISTEN,
	});
}

/* -o NAME=VALUE */
static int
give_option(struct config_set *set, const char *arg, char **why)
{
	autofree char *name = xstrndup(arg, strcspn(arg, "="));
	autofree char *where = NULL;
	const struct config_option *o = config_option_find(name);
	char			    env[CONFIG_ENV_LEN];
	struct config_nearest	    nearest;
	autofree char		   *text = NULL;

	if (o == NULL) {
		config_nearest_init(&nearest, name);
		config_nearest_offer_options(&nearest);
		text = config_nearest_text(&nearest, "option");
		return refuse(why, xasprintf("-o: %s", text));
	}
	if (o->type == CONFIG_SECRET)
		return refuse(why, xasprintf("-o %s: ps would show it; use %s or a file", name,
		    config_env_name(o, env)));
	if (arg[strlen(name)] != '=')
		return refuse(why, xasprintf("-o %s: expected NAME=VALUE", name));
	where = xasprintf("-o %s", name);
	config_give(set, &(struct config_given){
		.option = o, .text = arg + strlen(name) + 1, .source = CONFIG_FLAG, .where = where
	});
	return 0;
}

static void
give_verbose(struct config_set *set)
{
	config_give(set, &(struct config_given){
		.option = config_option_find("log.level"),
		.text = "debug",
		.source = CONFIG_FLAG,
		.where = "-v",
	});
}

static int
run_command(struct config_set *set, int code, enum config_action *action, char **why)
{
	switch (code) {
	case 'c':
		free(set->file);
		set->file = xstrdup(optarg);
		return 0;
	case 'o':
		return give_option(set, optarg, why);
	case 'v':
		give_verbose(set);
		return 0;
	case 'T':
		*action = CONFIG_CHECK;
		return 0;
	case 'V':
		*action = CONFIG_VERSION;
		return 0;
	case 'h':
		*action = CONFIG_HELP;
		return 0;
	default:
		*action = CONFIG_DUMP;
		return 0;
	}
}

static int
refuse_unknown(const struct flags *f, const char *given, char **why)
{
	struct config_nearest nearest;
	int		      n = (int)strcspn(given, "=");

	if (strncmp(given, "--", 2) != 0)
		return refuse(why, xasprintf("unknown flag '-%c'", optopt));
	if (optopt != 0)
		return refuse(why, xasprintf("%.*s takes no argument", n, given));
	config_nearest_init(&nearest, given + 2);
	for (const struct option *name = f->names; name->name != NULL; name++)
		config_nearest_offer(&nearest, slice_str(name->name));
	if (nearest.best.n == 0)
		return refuse(why, xasprintf("unknown flag '%.*s'", n, given));
	return refuse(why, xasprintf("unknown flag '%.*s', did you mean '--%.*s'?", n, given,
	    SLICE_ARG(nearest.best)));
}

int
config_flags_read(struct config_set *set, int argc, char **argv, enum config_action *action, char **why)
{
	const struct config_option *o;
	struct flags f;
	int	     code, at, r;

	flags_init(&f);
	*action = CONFIG_RUN;
	opterr = 0;
	/* 0 starts glibc afresh. */
	for (optind = 0, at = 1;; at = optind) {
		code = getopt_long(argc, argv, f.letters, f.names, NULL);
		if (code == -1)
			break;
		if (code == '?')
			return refuse_unknown(&f, argv[at], why);
		if (code == ':')
			return refuse(why, xasprintf("%s needs an argument", argv[at]));
		o = flag_option(code);
		if (o != NULL)
			give_flag(set, o, optarg);
		r = o == NULL ? run_command(set, code, action, why) : 0;
		if (r != 0 || config_is_question(*action))
			return r;
	}
	if (optind < argc)
		return refuse(why, xasprintf("unexpected argument '%s'", argv[optind]));
	return 0;
}

static const char *
env_find(char **envp, const char *name)
{
	size_t n = strlen(name);

	for (; *envp != NULL; envp++)
		if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

/*
 * ROOST_ and something that no option is called, yet nearly: a slip of the pen. Others are left alone,
 * since not all of them are meant for us: Kubernetes sets ROOST_PORT for a service "roost".
 */
static int
refuse_misspelt(const char *variable, char **why)
{
	struct slice name = slice(variable, strcspn(variable, "="));
	const struct config_option *meant = NULL;
	unsigned     nearest = 3;
	char	     known[CONFIG_ENV_LEN];

	for (unsigned i = 0; i < config_n_options; i++) {
		unsigned d = config_distance(name, slice_str(config_env_name(&config_options[i], known)));

		if (d == 0)
			return 0;
		if (d >= nearest)
			continue;
		nearest = d;
		meant = &config_options[i];
	}
	if (meant == NULL)
		return 0;
	config_env_name(meant, known);
	*why = xasprintf("unknown variable '%.*s', did you mean '%s'?", SLICE_ARG(name), known);
	return EX_CONFIG;
}

int
config_env_read(struct config_set *set, char **envp, char **why)
{
	const char *file = env_find(envp, "ROOST_CONFIG"), *text;
	char	    name[CONFIG_ENV_LEN];
	int	    r;

	if (set->file == NULL && file != NULL && file[0] != '\0')
		set->file = xstrdup(file);
	for (unsigned i = 0; i < config_n_options; i++) {
		text = env_find(envp, config_env_name(&config_options[i], name));
		if (text != NULL)
			config_give(set, &(struct config_given){
				.option = &config_options[i], .text = text, .source = CONFIG_ENV, .where = name
			});
	}
	for (; *envp != NULL; envp++) {
		if (strncmp(*envp, "ROOST_", 6) != 0 || strncmp(*envp, "ROOST_CONFIG=", 13) == 0)
			continue;
		r = refuse_misspelt(*envp, why);
		if (r != 0)
			return r;
	}
	return 0;
}

static void
print_flag(FILE *out, int letter, const char *name, const char *arg, const char *help)
{
	char flag[64];

	snprintf(flag, sizeof(flag), "%s%s%s", name, arg != NULL ? " " : "", arg != NULL ? arg : "");
	if (letter != '\0' && letter < DUMP)
		fprintf(out, "  -%c, --%-28s %s\n", letter, flag, help);
	else
		fprintf(out, "      --%-28s %s\n", flag, help);
}

void
config_usage(FILE *out)
{
	fprintf(out, "usage: roostd [-c FILE] [-l ADDRESS]... [-n NODE-ID] [-r REDIS-URL] [-w WORKERS]\n"
	    "              [-k JWT-KEY-FILE] [-u USER] [-o NAME=VALUE]... [-v] [-T] [-V] [-h]\n\n");
	for (size_t i = 0; i < COUNT(commands); i++)
		print_flag(out, commands[i].code, commands[i].name, commands[i].arg, commands[i].help);
	for (unsigned i = 0; i < config_n_options; i++) {
		const struct config_option *o = &config_options[i];

		if (o->long_flag != NULL)
			print_flag(out, o->flag, o->long_flag, takes_argument(o) ? o->arg : NULL, o->help);
	}
	fprintf(out, "\nAny option of roost.conf(5) can be given as -o SECTION.OPTION=VALUE, or in the\n"
	    "environment as ROOST_SECTION_OPTION; flags beat variables, which beat the file. --dump\nlists them all.\n");
}
