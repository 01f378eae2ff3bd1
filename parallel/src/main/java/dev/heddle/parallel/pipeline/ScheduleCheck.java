package dev.heddle.parallel.pipeline;

import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Compute;
import dev.heddle.parallel.pipeline.Instruction.Direction;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.Receive;
import dev.heddle.parallel.pipeline.Instruction.ReduceGradients;
import dev.heddle.parallel.pipeline.Instruction.Release;
import dev.heddle.parallel.pipeline.Instruction.Send;
import dev.heddle.parallel.pipeline.Instruction.Step;
import dev.heddle.parallel.pipeline.Instruction.Transport;
import dev.heddle.parallel.pipeline.Instruction.WeightGradients;
import dev.heddle.parallel.pipeline.PipelineGraph.Link;
import dev.heddle.parallel.pipeline.PipelineGraph.Place;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Proves before launch that a schedule can be run:
 *
 * <ul>
 *   <li>nothing is done twice, nothing goes backward that did not go forward, and no rank does what
 *       does not concern it;
 *   <li>every message that is waited for is sent and every message that is sent is waited for, and
 *       both ends take a link's messages in the same order;
 *   <li>every microbatch that a rank has to do with is released once, after all that the rank does
 *       for it and before gradients are reduced;
 *   <li>it ends. It is run on paper with every message a rendezvous: a send is done only when the
 *       receivers have come to their receive, which the sender waits for where it releases the
 *       microbatch; the ranks of a lane compute together; reductions and the step wait for all
 *       ranks that they concern. If no rank can go on, the schedule is refused with the ranks and
 *       the instructions that wait for each other.
 * </ul>
 *
 * <p>Ranks that share an instruction list are run as one.
 */
public final class ScheduleCheck {
  private final PipelineGraph graph;
  private final Map<Integer, Integer> unitOf = new HashMap<>();
  private final List<Unit> units = new ArrayList<>();

  /** Who meets whom, by what for. */
  private final Map<String, List<Unit>> groups = new HashMap<>();

  /** Ranks that share a list. */
  private static final class Unit {
    final List<Instruction> list;
    final List<Integer> ranks = new ArrayList<>();
    final Set<Instruction> sent = new HashSet<>();
    final Set<Instruction> received = new HashSet<>();

    /** By microbatch the messages that it has a part in. */
    final Map<Integer, List<Transport>> messages = new HashMap<>();

    int next;

    Unit(List<Instruction> list) {
      this.list = list;
    }

    @Nullable Instruction current() {
      return next < list.size() ? list.get(next) : null;
    }
  }

  private ScheduleCheck(Schedule schedule) {
    this.graph = schedule.graph();
    Map<List<Instruction>, Integer> known = new IdentityHashMap<>();
    schedule
        .ranks()
        .forEach(
            (rank, list) -> {
              int unit =
                  known.computeIfAbsent(
                      list,
                      key -> {
                        units.add(new Unit(key));
                        return units.size() - 1;
                      });
              units.get(unit).ranks.add(rank);
              unitOf.put(rank, unit);
            });
  }

  /**
   * Checks a schedule.
   *
   * @throws IllegalArgumentException naming the ranks and instructions at fault
   */
  public static void check(Schedule schedule) {
    ScheduleCheck check = new ScheduleCheck(schedule);
    check.units.forEach(check::checkOrder);
    check.checkMessages();
    check.checkProgress();
  }

  private static IllegalArgumentException refuse(int rank, Instruction instruction, String why) {
    return new IllegalArgumentException("schedule: rank " + rank + ": " + instruction + " " + why);
  }

  private void checkOrder(Unit unit) {
    int rank = unit.ranks.getFirst();
    Set<Instruction> done = new HashSet<>();
    Set<String> places = new HashSet<>();
    Map<String, Integer> lastOnLink = new HashMap<>();
    Set<Integer> underWay = new TreeSet<>();
    Set<Integer> released = new HashSet<>();
    for (Instruction instruction : unit.list) {
      if (!done.add(instruction)) {
        throw refuse(rank, instruction, "stands in the list twice");
      }
      // Another microbatch concerns nobody else.
      if (places.add(place(instruction))) {
        for (int member : unit.ranks) {
          if (!concerns(instruction, member)) {
            throw refuse(member, instruction, "does not concern this rank");
          }
        }
      }
      int microBatch = microBatch(instruction);
      if (microBatch >= 0) {
        if (released.contains(microBatch)) {
          throw refuse(rank, instruction, "comes after its microbatch was released");
        }
        underWay.add(microBatch);
      }
      switch (instruction) {
        case Release release -> {
          if (!underWay.remove(release.microBatch())) {
            throw refuse(rank, instruction, "releases what this rank has nothing of");
          }
          released.add(release.microBatch());
        }
        case ReduceGradients reduce -> checkReleased(rank, instruction, underWay);
        case Step step -> checkReleased(rank, instruction, underWay);
        case Backward back -> {
          if (!done.contains(new Forward(back.component(), back.stage(), back.microBatch()))) {
            throw refuse(rank, instruction, "comes before its forward");
          }
        }
        case WeightGradients weights -> {
          if (!done.contains(
              new Backward(weights.component(), weights.stage(), weights.microBatch(), true))) {
            throw refuse(rank, instruction, "comes before its backward-inputs");
          }
        }
        case Transport transport -> {
          Integer before = lastOnLink.put(place(transport), transport.microBatch());
          if (before != null && before > transport.microBatch()) {
            throw refuse(
                rank,
                instruction,
                "comes after that of microbatch " + before + "; a link keeps its messages' order");
          }
        }
        default -> {}
      }
    }
  }

  private static void checkReleased(int rank, Instruction instruction, Set<Integer> underWay) {
    if (!underWay.isEmpty()) {
      throw refuse(rank, instruction, "comes before microbatches " + underWay + " are released");
    }
  }

  /** The microbatch that an instruction works on, or -1. */
  private static int microBatch(Instruction instruction) {
    return switch (instruction) {
      case Compute compute -> compute.microBatch();
      case Transport transport -> transport.microBatch();
      case Release release -> -1;
      case ReduceGradients reduce -> -1;
      case Step step -> -1;
    };
  }

  /** Whom an instruction concerns, in a word. */
  private static String place(Instruction instruction) {
    return switch (instruction) {
      case Compute compute -> compute.component() + ":" + compute.stage();
      case Transport transport ->
          transport.getClass().getSimpleName() + transport.direction() + transport.link();
      case Release release -> "release";
      case ReduceGradients reduce -> reduce.toString();
      case Step step -> step.toString();
    };
  }

  private boolean concerns(Instruction instruction, int rank) {
    return switch (instruction) {
      case Compute compute -> isOn(rank, new Place(compute.component(), compute.stage()));
      case Send send -> isOn(rank, sender(graph.link(send.link()), send.direction()));
      case Receive receive -> isOn(rank, receiver(graph.link(receive.link()), receive.direction()));
      case ReduceGradients reduce -> graph.component(reduce.component()).mesh().contains(rank);
      case Release release -> true;
      case Step step -> true;
    };
  }

  private boolean isOn(int rank, Place place) {
    return place.stage() < graph.component(place.component()).count()
        && graph.ranksOf(place).contains(rank);
  }

  private static Place sender(Link link, Direction direction) {
    return direction == Direction.FORWARD ? link.from() : link.to();
  }

  private static Place receiver(Link link, Direction direction) {
    return direction == Direction.FORWARD ? link.to() : link.from();
  }

  /** Sends and receives pair up, rank by rank. */
  private void checkMessages() {
    Set<Instruction> everySend = new HashSet<>();
    for (Unit unit : units) {
      for (Instruction instruction : unit.list) {
        if (instruction instanceof Send) {
          unit.sent.add(instruction);
          everySend.add(instruction);
        }
      }
    }
    for (Unit unit : units) {
      for (Instruction instruction : unit.list) {
        if (instruction instanceof Receive receive) {
          Send wanted = new Send(receive.link(), receive.microBatch(), receive.direction());
          for (Unit sender : waitsFor(unit, receive)) {
            if (!sender.sent.contains(wanted)) {
              throw refuse(
                  unit.ranks.getFirst(),
                  instruction,
                  "waits for what rank " + sender.ranks.getFirst() + " never sends");
            }
          }
          everySend.remove(wanted);
        }
      }
    }
    if (!everySend.isEmpty()) {
      Instruction lost = everySend.iterator().next();
      Unit sender =
          units.stream().filter(unit -> unit.sent.contains(lost)).findFirst().orElseThrow();
      throw refuse(sender.ranks.getFirst(), lost, "is received by no rank");
    }
    units.forEach(unit -> unit.sent.clear());
  }

  /**
   * Every pass moves each rank on as far as it can get; no movement before the end is a deadlock.
   */
  private void checkProgress() {
    boolean moved = true;
    while (moved) {
      moved = false;
      for (Unit unit : units) {
        while (advance(unit)) {
          moved = true;
        }
      }
    }
    List<String> stuck = new ArrayList<>();
    for (Unit unit : units) {
      Instruction instruction = unit.current();
      if (instruction != null) {
        List<Integer> missing =
            missing(unit, instruction).flatMap(other -> other.ranks.stream()).sorted().toList();
        stuck.add(
            "rank " + unit.ranks.getFirst() + " at " + instruction + " waits for ranks " + missing);
      }
    }
    if (!stuck.isEmpty()) {
      throw new IllegalArgumentException(
          "schedule: it would never end: " + String.join("; ", stuck));
    }
  }

  private boolean advance(Unit unit) {
    Instruction instruction = unit.current();
    if (instruction == null) {
      return false;
    }
    if (missing(unit, instruction).findAny().isPresent()) {
      return false;
    }
    switch (instruction) {
      case Transport transport -> {
        (transport instanceof Send ? unit.sent : unit.received).add(transport);
        unit.messages
            .computeIfAbsent(transport.microBatch(), unused -> new ArrayList<>())
            .add(transport);
        unit.next++;
      }
      case Release release -> unit.next++;
      default -> waitsFor(unit, instruction).forEach(together -> together.next++);
    }
    return true;
  }

  /** The ranks that have not done their part of what an instruction waits for. */
  private Stream<Unit> missing(Unit unit, Instruction instruction) {
    if (instruction instanceof Release release) {
      return unit.messages.getOrDefault(release.microBatch(), List.of()).stream()
          .flatMap(message -> missing(unit, message))
          .distinct();
    }
    return waitsFor(unit, instruction).stream().filter(other -> !hasCome(other, instruction));
  }

  /** The ranks that have not come to a message that a rank has a part in. */
  private Stream<Unit> missing(Unit unit, Transport message) {
    Link link = graph.link(message.link());
    Receive receive = new Receive(message.link(), message.microBatch(), message.direction());
    Direction back =
        message.direction() == Direction.FORWARD ? Direction.BACKWARD : Direction.FORWARD;
    // Whom a rank hears from in one direction is whom it speaks to in the other; at a boundary the
    // ranks of the receiving side may hand on to each other.
    boolean across = link instanceof PipelineGraph.BoundaryLink;
    if (!across && message instanceof Receive) {
      return Stream.empty();
    }
    String key = "take" + message.direction() + message.link() + (across ? "" : unit.ranks.get(0));
    return groups
        .computeIfAbsent(
            key,
            unused ->
                unitsOf(
                    across
                        ? graph.ranksOf(receiver(link, message.direction())).ranks()
                        : unit.ranks.stream()
                            .flatMap(rank -> graph.sendersTo(rank, link, back).stream())
                            .toList()))
        .stream()
        .filter(other -> !other.received.contains(receive));
  }

  /** Whether another rank has done its part of what an instruction waits for. */
  private static boolean hasCome(Unit other, Instruction instruction) {
    return instruction instanceof Receive receive
        ? other.sent.contains(new Send(receive.link(), receive.microBatch(), receive.direction()))
        : instruction.equals(other.current());
  }

  /** The ranks that an instruction waits for: itself included where ranks meet. */
  private List<Unit> waitsFor(Unit unit, Instruction instruction) {
    return switch (instruction) {
      case Send send -> List.of();
      case Release release -> List.of();
      case Receive receive -> {
        Link link = graph.link(receive.link());
        // Whatever rank of a boundary's side it is, it hears from all of the other side.
        boolean oneForAll = link instanceof PipelineGraph.BoundaryLink;
        String key =
            receive.direction() + receive.link() + (oneForAll ? "" : unit.ranks.getFirst());
        yield groups.computeIfAbsent(
            key,
            unused ->
                unitsOf(
                    (oneForAll ? unit.ranks.subList(0, 1) : unit.ranks)
                        .stream()
                            .flatMap(
                                rank -> graph.sendersTo(rank, link, receive.direction()).stream())
                            .toList()));
      }
      case Compute compute ->
          groups.computeIfAbsent(
              compute.component() + ":" + compute.stage() + "/" + unit.ranks.getFirst(),
              unused ->
                  unitsOf(
                      graph.lanes(new Place(compute.component(), compute.stage())).stream()
                          .filter(lane -> unit.ranks.stream().anyMatch(lane::contains))
                          .flatMap(List::stream)
                          .toList()));
      case ReduceGradients reduce ->
          groups.computeIfAbsent(
              reduce.component(),
              unused -> unitsOf(graph.component(reduce.component()).mesh().ranks()));
      case Step step -> units;
    };
  }

  /** The units of ranks; a rank without a list is one that does nothing. */
  private List<Unit> unitsOf(List<Integer> ranks) {
    List<Unit> found = new ArrayList<>();
    Set<Integer> seen = new HashSet<>();
    for (int rank : ranks) {
      Integer index = unitOf.get(rank);
      if (index == null) {
        Unit idle = new Unit(List.of());
        idle.ranks.add(rank);
        found.add(idle);
      } else if (seen.add(index)) {
        found.add(units.get(index));
      }
    }
    return found;
  }
}
