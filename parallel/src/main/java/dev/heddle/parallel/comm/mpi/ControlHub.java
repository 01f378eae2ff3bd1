package dev.heddle.parallel.comm.mpi;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * Passes control messages on between the processes; lives in that of rank 0. Each process holds one
 * connection to it. What goes to all goes to all in the same order, so that everybody knows the
 * same first failure. A connection that breaks tells at once that a process is gone.
 */
final class ControlHub implements AutoCloseable {
  /** The target of messages for everybody. */
  static final int ALL = -1;

  /** The target of a process's last message. */
  static final int GOODBYE = -2;

  private static final int GREETING_MILLIS = 10_000;

  private final ServerSocket server;
  private final String token = UUID.randomUUID().toString();
  private final @Nullable DataOutputStream[] outputs;
  private final Socket[] sockets;

  /**
   * Opens the hub.
   *
   * @param processes how many will connect
   * @param oneHost whether all of them run on this host; then nobody else can connect
   */
  ControlHub(int processes, boolean oneHost) throws IOException {
    outputs = new DataOutputStream[processes];
    sockets = new Socket[processes];
    server = new ServerSocket();
    server.bind(
        oneHost
            ? new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)
            : new InetSocketAddress(0),
        processes);
    daemon("control-hub", this::acceptAll);
  }

  /** Where the hub is, for {@link ControlLink}: port, token, addresses, separated by spaces. */
  String address(boolean oneHost) throws IOException {
    List<String> words = new ArrayList<>(List.of(String.valueOf(server.getLocalPort()), token));
    if (!oneHost) {
      for (NetworkInterface card : Collections.list(NetworkInterface.getNetworkInterfaces())) {
        if (card.isUp() && !card.isLoopback()) {
          for (InetAddress address : Collections.list(card.getInetAddresses())) {
            words.add(address.getHostAddress());
          }
        }
      }
    }
    words.add(InetAddress.getLoopbackAddress().getHostAddress());
    return String.join(" ", words);
  }

  static void daemon(String name, Runnable body) {
    Thread.ofPlatform().name(name).daemon().start(body);
  }

  private void acceptAll() {
    int connected = 0;
    while (connected < sockets.length) {
      try {
        if (greet(server.accept())) {
          connected++;
        }
      } catch (IOException closed) {
        return;
      }
    }
  }

  private boolean greet(Socket socket) throws IOException {
    try {
      socket.setTcpNoDelay(true);
      socket.setSoTimeout(GREETING_MILLIS);
      DataInputStream in = new DataInputStream(new BufferedInputStream(socket.getInputStream()));
      String given = in.readUTF();
      int rank = in.readInt();
      if (!given.equals(token) || rank < 0 || rank >= sockets.length) {
        socket.close();
        return false;
      }
      socket.setSoTimeout(0);
      DataOutputStream out = new DataOutputStream(socket.getOutputStream());
      out.writeBoolean(true);
      synchronized (this) {
        outputs[rank] = out;
        sockets[rank] = socket;
      }
      daemon("control-hub-" + rank, () -> forwardFrom(rank, in));
      return true;
    } catch (IOException stranger) {
      socket.close();
      return false;
    }
  }

  private void forwardFrom(int rank, DataInputStream in) {
    boolean left = false;
    try {
      while (!left) {
        int target = in.readInt();
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        left = target == GOODBYE;
        if (!left) {
          forward(target, bytes);
        }
      }
    } catch (IOException gone) {
      forward(ALL, ControlMessage.encode(new ControlMessage.Lost(rank)));
    }
    synchronized (this) {
      outputs[rank] = null;
    }
  }

  private synchronized void forward(int target, byte[] bytes) {
    for (int i = 0; i < outputs.length; i++) {
      DataOutputStream out = outputs[i];
      if (out == null || (target != ALL && target != i)) {
        continue;
      }
      try {
        out.writeInt(bytes.length);
        out.write(bytes);
        out.flush();
      } catch (IOException gone) {
        // Its own reader notices too, and tells everybody.
        outputs[i] = null;
      }
    }
  }

  @Override
  public void close() throws IOException {
    server.close();
    for (Socket socket : sockets) {
      if (socket != null) {
        socket.close();
      }
    }
  }
}
