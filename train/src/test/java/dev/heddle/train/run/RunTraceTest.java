package dev.heddle.train.run;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.trace.TraceFile;
import dev.heddle.parallel.trace.TraceRecorder;
import dev.heddle.parallel.trace.TracingCommunicator;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.json.Json;
import dev.heddle.train.report.StepMetrics;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The trace of a real run says what every rank did. */
class RunTraceTest {
  @TempDir Path folder;

  /** A span of a trace; times in ns from its beginning. */
  private record Span(
      long rank,
      long track,
      long start,
      long end,
      String category,
      String name,
      Map<String, @Nullable Object> details) {
    boolean holds(Span other) {
      return start <= other.start && other.end <= end;
    }

    long detail(String name) {
      return Json.whole(details.get(name), name);
    }
  }

  private record Arrow(boolean tail, long rank, long track, long time) {}

  private record Trace(
      Map<String, @Nullable Object> about, List<Span> spans, Map<Long, List<Arrow>> arrows) {}

  private static long nanos(@Nullable Object micros) {
    return BigDecimal.valueOf(Json.number(micros, "a time")).movePointRight(3).longValueExact();
  }

  private static Trace parse(String text) {
    Map<String, @Nullable Object> file = Json.parseObject(text);
    List<Span> spans = new ArrayList<>();
    Map<Long, List<Arrow>> arrows = new HashMap<>();
    for (Object value : Json.list(file.get("traceEvents"), "traceEvents")) {
      Map<String, @Nullable Object> event = Json.object(value, "an event");
      String phase = Json.text(event.get("ph"), "ph");
      long rank = Json.whole(event.get("pid"), "pid");
      long track = Json.whole(event.get("tid"), "tid");
      if (phase.equals("X")) {
        long start = nanos(event.get("ts"));
        spans.add(
            new Span(
                rank,
                track,
                start,
                start + nanos(event.get("dur")),
                Json.text(event.get("cat"), "cat"),
                Json.text(event.get("name"), "name"),
                Json.object(event.get("args"), "args")));
      } else if (!phase.equals("M")) {
        arrows
            .computeIfAbsent(Json.whole(event.get("id"), "id"), id -> new ArrayList<>())
            .add(new Arrow(phase.equals("s"), rank, track, nanos(event.get("ts"))));
      }
    }
    return new Trace(Json.object(file.get("otherData"), "otherData"), spans, arrows);
  }

  /** Trains and merges; rank 0's text, and what every rank counted. */
  private static String run(RunConfig config, Map<Integer, CommunicationStatistics> counted) {
    TrainingData data = TinyRun.data(config);
    StringBuilder text = new StringBuilder();
    LocalWorld.run(
        config.parallel().ranks(),
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.BEST),
            (world, device) -> {
              TracingCommunicator traced =
                  new TracingCommunicator(world, new TraceRecorder(TraceRecorder.DEFAULT_CAPACITY));
              new RankTrainer(config, data, traced, device, false, metrics -> {}).run(null, 3);
              counted.put(world.rank(), world.totalStatistics().snapshot());
              TraceFile.write(traced, 1, device, world.rank() == 0 ? text : new StringBuilder());
            }));
    return text.toString();
  }

  @Test
  void trace_hasEveryOperationOnceAndSpansThatNest() {
    for (ParallelConfig layout : List.of(TinyRun.DP2_TP2, TinyRun.TP3_APART_DP2)) {
      Map<Integer, CommunicationStatistics> counted = new ConcurrentHashMap<>();
      RunConfig config = TinyRun.config(folder, layout);
      Trace trace = parse(run(config, counted));
      for (int rank = 0; rank < layout.ranks(); rank++) {
        int number = rank;
        List<Span> spans = trace.spans.stream().filter(span -> span.rank == number).toList();
        assertCounts(spans, counted.get(rank));
        Map<Long, List<Span>> tracks = spans.stream().collect(Collectors.groupingBy(Span::track));
        tracks.forEach((track, own) -> assertNests(own, track == 0));
        List<Span> steps =
            spans.stream().filter(span -> span.name.equals("training step")).toList();
        assertThat(steps).map(span -> span.detail("step")).containsExactly(1L, 2L, 3L);
        for (String instruction : List.of("forward", "backward")) {
          List<Span> own =
              spans.stream().filter(span -> span.name.startsWith(instruction + "(")).toList();
          assertThat(own).as(instruction).isNotEmpty();
          for (Span span : own) {
            assertThat(span.detail("microBatch")).isNotNegative();
            assertThat(span.detail("stage")).isZero();
            assertThat(steps).anyMatch(step -> step.holds(span));
          }
        }
        for (Span span : spans) {
          assertThat(span.start).isNotNegative();
          assertThat(span.end).isGreaterThanOrEqualTo(span.start);
          assertThat(span.category.equals("communication")).isEqualTo(span.track > 0);
          if (span.category.equals("wait") && span.detail("step") > 0) {
            assertThat(span.name).startsWith("wait for ");
          }
        }
      }
      assertArrows(trace);
      assertThat(trace.about).doesNotContainKey("firstStepLeftOut");
    }
  }

  private static void assertCounts(List<Span> spans, CommunicationStatistics counted) {
    for (CommunicationKind kind : CommunicationKind.values()) {
      List<Span> own =
          spans.stream().filter(span -> span.track > 0 && span.name.equals(kind.label())).toList();
      CommunicationStatistics.Traffic traffic = counted.of(kind);
      assertThat(own).as(kind.label()).hasSize((int) traffic.count());
      assertThat(own.stream().mapToLong(span -> span.detail("sentBytes")).sum())
          .isEqualTo(traffic.sentBytes());
      assertThat(own.stream().mapToLong(span -> span.detail("receivedBytes")).sum())
          .isEqualTo(traffic.receivedBytes());
    }
    assertThat(counted.totalCount()).isPositive();
  }

  /** Two spans of a track are apart, or one holds the other where spans may nest. */
  private static void assertNests(List<Span> spans, boolean mayHold) {
    Deque<Span> open = new ArrayDeque<>();
    List<Span> sorted = new ArrayList<>(spans);
    sorted.sort(
        Comparator.comparingLong(Span::start).thenComparing(Span::end, Comparator.reverseOrder()));
    for (Span span : sorted) {
      while (!open.isEmpty() && open.peek().end <= span.start) {
        open.pop();
      }
      if (!open.isEmpty()) {
        assertThat(mayHold && open.peek().holds(span)).as("%s in %s", span, open.peek()).isTrue();
      }
      open.push(span);
    }
  }

  private static void assertArrows(Trace trace) {
    assertThat(trace.arrows).isNotEmpty();
    trace.arrows.forEach(
        (id, ends) -> {
          assertThat(ends).as("message %d", id).hasSize(2);
          Arrow tail = ends.get(0).tail ? ends.get(0) : ends.get(1);
          Arrow head = ends.get(0).tail ? ends.get(1) : ends.get(0);
          assertThat(head.tail).isFalse();
          assertThat(head.time).as("arrives after it leaves").isGreaterThanOrEqualTo(tail.time);
          assertThat(head.rank).isNotEqualTo(tail.rank);
          for (Arrow arrow : ends) {
            assertThat(trace.spans)
                .anyMatch(
                    span ->
                        span.rank == arrow.rank
                            && span.track == arrow.track
                            && span.name.equals("exchange")
                            && span.start <= arrow.time
                            && arrow.time <= span.end);
          }
        });
  }

  /** Ten steps of three spans each on rank 0, six on rank 1. */
  private static Trace runSteps(int capacity) {
    StringBuilder text = new StringBuilder();
    LocalWorld.run(
        2,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE),
            (world, device) -> {
              TraceRecorder recorder = new TraceRecorder(capacity);
              TracingCommunicator traced = new TracingCommunicator(world, recorder);
              for (int step = 0; step < 10; step++) {
                recorder.step(step);
                for (int i = 0; i < 1 + 3 * world.rank(); i++) {
                  recorder.begin("work");
                  recorder.end();
                }
                traced.barrier();
              }
              TraceFile.write(traced, 1, device, world.rank() == 0 ? text : new StringBuilder());
            }));
    return parse(text.toString());
  }

  @Test
  void traceTooLongForItsMemory_keepsWholeStepsOfTheBeginningAndTheEnd_theSameOfEveryRank() {
    Trace whole = runSteps(30);
    assertThat(whole.about).isEqualTo(Map.of("ranks", 2L));
    assertThat(whole.spans).hasSize(10 * 3 + 10 * 6);
    // Rank 0 has steps 0, 1, 8 and 9 whole, rank 1 only 0 and 9.
    Trace cut = runSteps(7);
    assertThat(cut.about)
        .isEqualTo(Map.of("ranks", 2L, "firstStepLeftOut", 1L, "lastStepLeftOut", 8L));
    for (long step : new long[] {0, 9}) {
      assertThat(cut.spans.stream().filter(span -> span.detail("step") == step)).hasSize(3 + 6);
    }
    assertThat(cut.spans).hasSize(2 * (3 + 6));
    assertThat(runSteps(2).spans).as("no step fits: what there is").hasSize(2 * 2 * 2);
  }

  @Test
  void tracedRun_hasTheBitsOfOneThatIsNot_andLeavesAFile() throws IOException {
    RunConfig config = TinyRun.config(folder, TinyRun.TP2_DP2);
    TrainingData data = TinyRun.data(config);
    List<Double> plain =
        TinyRun.train(config, data, null, 2).stream().map(StepMetrics::loss).toList();
    List<Double> losses = new ArrayList<>();
    Path file = folder.resolve("traces").resolve("run.json");
    new TrainingRun(config, data).train(null, 2, step -> losses.add(step.loss()), file);
    assertThat(losses).isEqualTo(plain);
    assertThat(parse(Files.readString(file)).spans).isNotEmpty();
    try (var files = Files.list(file.getParent())) {
      assertThat(files).as("nothing half written beside it").containsExactly(file);
    }
  }
}
