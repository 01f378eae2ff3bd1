package dev.heddle.parallel.comm.support;

import dev.heddle.parallel.comm.Message;
import java.util.List;
import java.util.StringJoiner;

/** Messages between ranks, in words. */
public final class MessageText {
  /** How many messages of an exchange are told one by one. */
  public static final int SHOWN = 8;

  private MessageText() {}

  /** The {@code number}-th message between two ranks, by their numbers in the world. */
  public static String of(long number, int from, int to) {
    return "message " + number + " from rank " + from + " to rank " + to;
  }

  /** The messages that a rank called an exchange with. */
  public static String of(List<Message> messages) {
    StringJoiner text = new StringJoiner(", ", "exchange [", "]");
    for (int i = 0; i < Math.min(SHOWN, messages.size()); i++) {
      text.add(messages.get(i).toString());
    }
    if (messages.size() > SHOWN) {
      text.add((messages.size() - SHOWN) + " more");
    }
    return text.toString();
  }
}
