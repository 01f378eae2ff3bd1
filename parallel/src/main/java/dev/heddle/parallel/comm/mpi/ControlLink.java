package dev.heddle.parallel.comm.mpi;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.List;
import java.util.function.Consumer;

/**
 * A process's connection to the {@link ControlHub}. A thread of its own reads from it, so that
 * questions are answered while the rank computes.
 */
final class ControlLink implements AutoCloseable {
  private static final int CONNECT_MILLIS = 3_000;

  /** An answered connection. */
  private record Connection(Socket socket, DataInputStream in, DataOutputStream out) {}

  private final Connection connection;
  private final Consumer<ControlMessage> listener;
  private volatile boolean closing;

  /**
   * Connects.
   *
   * @param address what {@link ControlHub#address} gave
   * @param listener is handed every message, on the link's thread
   */
  ControlLink(String address, int rank, Consumer<ControlMessage> listener) throws IOException {
    this.listener = listener;
    this.connection = connect(address, rank);
    ControlHub.daemon("control-link", this::read);
  }

  private static Connection connect(String address, int rank) throws IOException {
    String[] words = address.split(" ");
    int port = Integer.parseInt(words[0]);
    IOException last = new IOException("the hub has no address");
    for (int i = 2; i < words.length; i++) {
      Socket socket = new Socket();
      try {
        socket.connect(new InetSocketAddress(words[i], port), CONNECT_MILLIS);
        socket.setTcpNoDelay(true);
        socket.setSoTimeout(CONNECT_MILLIS);
        DataOutputStream out = new DataOutputStream(socket.getOutputStream());
        out.writeUTF(words[1]);
        out.writeInt(rank);
        out.flush();
        DataInputStream in = new DataInputStream(new BufferedInputStream(socket.getInputStream()));
        // Only the hub answers: some other host may have the same address on another network.
        if (in.readBoolean()) {
          socket.setSoTimeout(0);
          return new Connection(socket, in, out);
        }
      } catch (IOException unreachable) {
        last = unreachable;
      }
      socket.close();
    }
    List<String> tried = List.of(words).subList(2, words.length);
    throw new IOException(
        "rank " + rank + " cannot reach rank 0 at port " + port + " of any of " + tried, last);
  }

  private void read() {
    try {
      while (true) {
        byte[] bytes = new byte[connection.in.readInt()];
        connection.in.readFully(bytes);
        listener.accept(ControlMessage.decode(bytes));
      }
    } catch (IOException gone) {
      if (!closing) {
        listener.accept(new ControlMessage.Lost(0));
      }
    }
  }

  /** Sends a message to a rank, or to {@link ControlHub#ALL}. */
  void send(int target, ControlMessage message) {
    write(target, ControlMessage.encode(message));
  }

  private synchronized void write(int target, byte[] bytes) {
    try {
      ByteArrayOutputStream frame = new ByteArrayOutputStream(bytes.length + 8);
      DataOutputStream framed = new DataOutputStream(frame);
      framed.writeInt(target);
      framed.writeInt(bytes.length);
      framed.write(bytes);
      connection.out.write(frame.toByteArray());
      connection.out.flush();
    } catch (IOException gone) {
      // The reading thread notices as well, and says who is lost.
      closing |= target == ControlHub.GOODBYE;
    }
  }

  /** Says goodbye, so that nobody takes this process for lost. */
  @Override
  public void close() throws IOException {
    closing = true;
    write(ControlHub.GOODBYE, new byte[0]);
    connection.socket.close();
  }
}
