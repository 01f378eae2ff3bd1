package dev.heddle.parallel.redistribute;

import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The volume of a plan for each rank and each link, in elements; local copies are kept apart. */
public final class Traffic {
  /**
   * A directed pair of different ranks.
   *
   * @param from the sender
   * @param to the receiver
   */
  public record Link(int from, int to) {}

  private final Map<Link, Long> links =
      new TreeMap<>(Comparator.comparingInt(Link::from).thenComparingInt(Link::to));
  private final Map<Integer, Long> sent = new HashMap<>();
  private final Map<Integer, Long> received = new HashMap<>();
  private final Map<Integer, Long> copied = new HashMap<>();
  private long total;

  private Traffic() {}

  static Traffic of(TransferPlan plan) {
    Traffic traffic = new Traffic();
    for (Phase phase : plan.phases()) {
      for (Transfer transfer : phase.transfers()) {
        long elements = transfer.elements();
        if (transfer.isLocal()) {
          traffic.copied.merge(transfer.to(), elements, Long::sum);
        } else {
          traffic.links.merge(new Link(transfer.from(), transfer.to()), elements, Long::sum);
          traffic.sent.merge(transfer.from(), elements, Long::sum);
          traffic.received.merge(transfer.to(), elements, Long::sum);
          traffic.total += elements;
        }
      }
    }
    return traffic;
  }

  /** What a rank sends to others. */
  public long sent(int rank) {
    return sent.getOrDefault(rank, 0L);
  }

  /** What a rank receives from others. */
  public long received(int rank) {
    return received.getOrDefault(rank, 0L);
  }

  /** What a rank copies from its own buffers to its own buffers. */
  public long copied(int rank) {
    return copied.getOrDefault(rank, 0L);
  }

  /** What goes over all links. */
  public long total() {
    return total;
  }

  /** What goes from one rank to another. */
  public long link(int from, int to) {
    return links.getOrDefault(new Link(from, to), 0L);
  }

  /** The volume of each used link, by sender, then receiver. */
  public Map<Link, Long> links() {
    return Collections.unmodifiableMap(links);
  }

  /** What goes from one host to another. */
  public long betweenHosts(Hosts hosts) {
    long crossing = 0;
    for (Map.Entry<Link, Long> entry : links.entrySet()) {
      Link link = entry.getKey();
      if (hosts.hostOf(link.from) != hosts.hostOf(link.to)) {
        crossing += entry.getValue();
      }
    }
    return crossing;
  }

  /** The most that any one rank sends or receives. */
  public long busiest() {
    long busiest = 0;
    for (Map<Integer, Long> direction : List.of(sent, received)) {
      for (long volume : direction.values()) {
        busiest = Math.max(busiest, volume);
      }
    }
    return busiest;
  }
}
