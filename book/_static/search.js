/* The search shows excerpts of the pages that it finds. From file:// a browser lets no script read
   them, and complains. There the list is titles alone. */
"use strict";

if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
