/* What the streams step of the kubeadm bed runs in a pod: a shell-less image needs a program of its own.
 *   stream cat           gives back what it is told on stdin
 *   stream serve PORT    gives back what it is told by one TCP client after the other, and prints it */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int give_back(int from, int to, int log) {
    char heard[4096];
    for (;;) {
        ssize_t length = read(from, heard, sizeof heard);
        if (length <= 0) return 0;
        if (write(to, heard, (size_t)length) != length) return 1;
        if (log && write(1, heard, (size_t)length) != length) return 1;
    }
}

int main(int count, char **words) {
    if (count == 2 && !strcmp(words[1], "cat")) return give_back(0, 1, 0);
    if (count != 3 || strcmp(words[1], "serve")) return 64;
    struct sockaddr_in everywhere = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[2]))};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&everywhere, sizeof everywhere) || listen(listener, 8)) return 69;
    for (;;) {
        int client = accept(listener, 0, 0);
        if (client < 0) return 70;
        give_back(client, client, 1);
        close(client);
    }
}
