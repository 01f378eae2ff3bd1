package dev.heddle.train.run;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.train.json.Json;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** What one rank communicates in one training step: operations and bytes by phase and kind. */
final class StepTraffic {
  /** What an operation is done for. */
  enum Phase {
    FORWARD,
    BACKWARD,
    UPDATE,
    /** Outside every instruction. */
    TRAINER
  }

  /** How many operations, and the bytes that the rank puts in and gets out. */
  record Traffic(long count, long sentBytes, long receivedBytes) {}

  private final Map<String, Traffic> traffic = new TreeMap<>();

  /** Adds operations; none of them if {@code count} is 0. */
  void add(Phase phase, CommunicationKind kind, long count, long sentBytes, long receivedBytes) {
    if (count > 0) {
      traffic.merge(
          phase.name().toLowerCase(Locale.ROOT) + " " + kind.label(),
          new Traffic(count, sentBytes, receivedBytes),
          (one, other) ->
              new Traffic(
                  one.count + other.count,
                  one.sentBytes + other.sentBytes,
                  one.receivedBytes + other.receivedBytes));
    }
  }

  /** By phase and kind, such as {@code forward allReduce}. */
  Map<String, Traffic> all() {
    return traffic;
  }

  // ---- read from a trace

  private record Span(long start, long end, String name) {
    Phase phase() {
      if (name.startsWith("forward(") || name.startsWith("send(") || name.startsWith("receive(")) {
        return Phase.FORWARD;
      }
      return name.equals("step") ? Phase.UPDATE : Phase.BACKWARD;
    }
  }

  /**
   * What each rank communicated in a step, read from the trace of a run. An operation belongs to
   * the instruction that posts it: so the reduction of gradients belongs to backward.
   */
  static List<StepTraffic> ofTrace(String text, long step, int ranks) {
    List<List<Span>> instructions = new ArrayList<>();
    List<StepTraffic> result = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      instructions.add(new ArrayList<>());
      result.add(new StepTraffic());
    }
    List<Map<String, @Nullable Object>> events = new ArrayList<>();
    for (Object value :
        Json.list(Json.parseObject(text).get("traceEvents"), "the trace's events")) {
      Map<String, @Nullable Object> event = Json.object(value, "an event");
      boolean isSpan = Json.text(event.get("ph"), "ph").equals("X");
      if (isSpan && detail(event, "step") == step) {
        events.add(event);
        String name = Json.text(event.get("name"), "name");
        boolean isInstruction = name.endsWith(")") || name.equals("step");
        if (isInstruction && Json.whole(event.get("tid"), "tid") == 0) {
          long start = nanos(event.get("ts"));
          instructions
              .get((int) Json.whole(event.get("pid"), "pid"))
              .add(new Span(start, start + nanos(event.get("dur")), name));
        }
      }
    }
    for (Map<String, @Nullable Object> event : events) {
      if (Json.text(event.get("cat"), "cat").equals("communication")) {
        int rank = (int) Json.whole(event.get("pid"), "pid");
        long start = nanos(event.get("ts"));
        String name = Json.text(event.get("name"), "name");
        Phase phase =
            instructions.get(rank).stream()
                .filter(span -> span.start <= start && start < span.end)
                .findFirst()
                .map(Span::phase)
                .orElse(Phase.TRAINER);
        result
            .get(rank)
            .add(phase, kind(name), 1, detail(event, "sentBytes"), detail(event, "receivedBytes"));
      }
    }
    return result;
  }

  private static CommunicationKind kind(String label) {
    return Arrays.stream(CommunicationKind.values())
        .filter(kind -> kind.label().equals(label))
        .findFirst()
        .orElseThrow();
  }

  private static long detail(Map<String, @Nullable Object> event, String name) {
    Object value = Json.object(event.get("args"), "args").get(name);
    return value == null ? -1 : Json.whole(value, name);
  }

  private static long nanos(@Nullable Object micros) {
    return BigDecimal.valueOf(Json.number(micros, "a time")).movePointRight(3).longValueExact();
  }
}
