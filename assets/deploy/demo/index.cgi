#!/bin/sh
# v3 is broken: healthy by its own account, and every page is an error.
printf 'Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\nv3 cannot reach its database\n'
