/* Where the words go: start.c has it for the device, host.c for a host. */
void say(const char *text);
