/*
 * Between the files that read a configuration file with libconfuse.
 */
#ifndef CONFIG_CONFIG_READER_H
#define CONFIG_CONFIG_READER_H

#include <confuse.h>

#include "config/config_internal.h"

/* One reading of one file. */
struct config_reader {
	struct config_set *set;
	const char	*file;
	struct config_route route;	/* of the section that is being read */
	bool		 route_public_set;
	struct config_key key;
	unsigned	 key_line;
	struct config_rate rate;
	char		*why;		/* the first complaint; those that follow are its consequences */
};

/* libconfuse hands nothing of ours to its callbacks. NULL between readings. */
extern struct config_reader *config_reading;

/* Keeps the text, with file and line before it, unless there is one. Returns -1. */
int config_complain(unsigned line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The options of the table, and of keys, rates and routes. */
cfg_t *config_grammar_new(void);
/* For cfg_set_error_function(). */
void config_on_error(cfg_t *, const char *fmt, va_list) __attribute__((format(printf, 2, 0)));

/* What libconfuse calls for a value (`result` is what it keeps), and for a section that ends. */
int config_on_option(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_section_end(cfg_t *, cfg_opt_t *);
int config_on_line(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_key_file(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_key_alg(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_key_end(cfg_t *, cfg_opt_t *);
int config_on_rate_value(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_rate_end(cfg_t *, cfg_opt_t *);
int config_on_route_text(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_route_public(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_route_rate_reason(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_route_allow(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_route_authorize_url(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_route_setting(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_route_pair(cfg_t *, cfg_opt_t *, const char *value, void *result);
int config_on_route_end(cfg_t *, cfg_opt_t *);
/* Lists that were set to nothing, in a section or in the whole file: no callback tells. */
void config_note_empty_lists(cfg_t *);

#endif
