"""One turn of a conversation: route, call, fall back, fold, remember. No HTTP."""
