/*
 * What opens a development server (--dev) where nothing else is configured. No secrets: loopback alone takes them.
 */
#ifndef AUTH_DEV_H
#define AUTH_DEV_H

#define DEV_SECRET	"roost-dev-secret"	/* of tokens */
#define DEV_API_KEY	"roost-dev-key"		/* of the HTTP API */

#endif
