/*
 * What the files of the configuration share: the table of options, their values, and who gave them.
 */
#ifndef CONFIG_CONFIG_INTERNAL_H
#define CONFIG_CONFIG_INTERNAL_H

#include <stddef.h>
#include <sys/stat.h>

#include "base/slice.h"
#include "config/config.h"

enum config_type {
	CONFIG_STRING,
	CONFIG_SECRET,		/* a string that is never printed, nor taken from a flag */
	CONFIG_LIST,
	CONFIG_LISTEN,		/* a list of addresses */
	CONFIG_BOOL,
	CONFIG_NUMBER,
	CONFIG_SIZE,		/* bytes */
	CONFIG_DURATION,	/* milliseconds */
	CONFIG_ENUM,		/* the index of one of `choices` */
};

/* A row of the table. */
struct config_option {
	const char	*name;		/* "section.option", or bare for what stands outside of sections */
	enum config_type type;
	size_t		 offset;	/* of its field in struct config */
	size_t		 size;		/* of the field: whole numbers have several widths */
	const char	*value;		/* the default, as -o would take it */
	uint64_t	 min;		/* of numbers, sizes and durations */
	uint64_t	 max;
	const char *const *choices;	/* of an enum, or of a string that may also be empty; ends with NULL */
	const char	*(*check)(const char *);	/* of a string or list element: NULL if fine, else "expected …" */
	bool		 reload;	/* SIGHUP changes it */
	char		 flag;		/* '\0' = none */
	const char	*long_flag;	/* NULL = none */
	const char	*arg;		/* what the flag's argument is called */
	const char	*help;
};

extern const struct config_option config_options[];
extern const unsigned config_n_options;

/* What a route may say to its class without the detour through `options`. */
struct config_setting {
	const char	*name;
	enum config_type type;		/* CONFIG_STRING, CONFIG_LIST or CONFIG_BOOL */
};

extern const struct config_setting config_settings[];
extern const unsigned config_n_settings;

/* NULL if there is none. */
const struct config_option *config_option_find(const char *name);
const struct config_setting *config_setting_find(const char *name);
/* "limits" and "max_topic"; the section of a bare name is empty. */
struct slice config_option_section(const struct config_option *);
const char *config_option_key(const struct config_option *);
#define CONFIG_ENV_LEN	64
/* "ROOST_LIMITS_MAX_TOPIC" into out[CONFIG_ENV_LEN]; returns out. */
char *config_env_name(const struct config_option *, char *out);
/* The algorithms of keys; ends with NULL. */
extern const char *const config_algorithms[];

static inline bool
config_is_list(const struct config_option *o)
{
	return o->type == CONFIG_LIST || o->type == CONFIG_LISTEN;
}

/* After Damerau and Levenshtein: letters added, left out, changed, or swapped with their neighbour. */
unsigned config_distance(struct slice, struct slice);

/* The name most like one that nobody knows. */
struct config_nearest {
	struct slice	wanted;
	struct slice	best;		/* empty if none is near */
	unsigned	distance;	/* of the best */
};

void config_nearest_init(struct config_nearest *, const char *wanted);
void config_nearest_offer(struct config_nearest *, struct slice candidate);
/*
 * Offers the options that a full name may have meant, one of the same name in another section first of
 * all.
 */
void config_nearest_offer_options(struct config_nearest *);
/* "unknown option 'x', did you mean 'y'?"; `what` is "option", "flag" …. The caller frees it. */
char *config_nearest_text(const struct config_nearest *, const char *what);

/* Who gave an option its value. */
struct config_origin {
	enum config_source source;
	char		*where;		/* "FILE:LINE", "ROOST_…", "-w"; NULL for a default */
};

/* A flag or a variable; the set keeps them for the next reload. */
struct config_given {
	const struct config_option *option;
	const char	*text;
	enum config_source source;
	const char	*where;
	bool		 append;	/* one more element for a list that flags have begun */
};

struct config_set {
	struct config	 config;
	struct config_origin *origins;	/* one for each option */
	char		*file;		/* NULL = none */
	mode_t		 file_mode;	/* 0 if it is no regular file */
	struct config_given *given;
	unsigned	 n_given;
	struct buf	 stale;		/* names of options that the file changed, but not for this process */
};

/* Everything at its default. */
struct config_set *config_set_new(void);
struct config_origin *config_origin(const struct config_set *, const struct config_option *);
/* Copies what it is given. */
void config_give(struct config_set *, const struct config_given *);

/*
 * Values. Those that return int give 0, or 78 with *why (caller frees) saying where and what was expected.
 */
struct config_place {
	enum config_source source;
	const char	*where;
};

/* From text as in -o: a list has commas. */
int config_put(struct config_set *, const struct config_option *, const char *text, struct config_place,
    char **why);
/* One element more. */
#define CONFIG_MAX_ITEMS	256
int config_put_item(struct config_set *, const struct config_option *, const char *item, struct config_place,
    char **why);
/* An empty list: what config_put_item() is going to fill. */
void config_put_empty(struct config_set *, const struct config_option *, struct config_place);
/* Takes the value, and who gave it, from another set. */
void config_copy(struct config_set *to, const struct config_set *from, const struct config_option *);
/* The value as the file would have it, secrets included. */
void config_value_text(const struct config *, const struct config_option *, struct buf *);
void config_quote(struct buf *, const char *);
void config_values_free(struct config *);
void config_list_add(struct config_list *, const char *item, size_t n);
void config_list_free(struct config_list *);
void config_key_free(struct config_key *);
void config_rate_free(struct config_rate *);
void config_route_free(struct config_route *);
/* Somebody's text, cut and without control characters, fit for a message. The caller frees it. */
char *config_shown(const char *text, size_t n);

/* -V and -h are answered whatever else is wrong. */
static inline bool
config_is_question(enum config_action action)
{
	return action == CONFIG_VERSION || action == CONFIG_HELP;
}

/* The flags and variables. 0, or 2 or 78. */
int config_flags_read(struct config_set *, int argc, char **argv, enum config_action *, char **why);
int config_env_read(struct config_set *, char **envp, char **why);

/* The file: set->file, or any text under the name `file`. 0 or 78. */
int config_file_read(struct config_set *, char **why);
int config_text_read(struct config_set *, const char *file, struct slice text, char **why);
/*
 * Rewrites a file's text into what libconfuse reads without mistakes. Line numbers stay. 0, or -EINVAL
 * with *why. In a section with a title (but for rates), the option CONFIG_LINE says where the section
 * began.
 */
#define CONFIG_LINE	"@line"
int config_scan(const char *file, struct slice text, struct buf *out, char **why);

/* What no option can know alone. 0 or 78. */
int config_check(const struct config_set *, char **why);

#endif
