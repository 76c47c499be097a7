"use strict";
// Search is off because ReDoc would run it in a worker that it makes from a string.
Redoc.init("/openapi.json", { disableSearch: true, hideDownloadButton: false }, document.getElementById("redoc"));
