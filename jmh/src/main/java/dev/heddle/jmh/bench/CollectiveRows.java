package dev.heddle.jmh.bench;

import dev.heddle.jmh.LineProcess;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Collectives between two ranks that are threads of this JVM beside the same ones of Open MPI
 * between two processes of a C program. The program stands by and sleeps while ours runs. Each side
 * checks what arrives before it times.
 */
final class CollectiveRows {
  private static final int RANKS = 2;
  private static final long[] SIZES = {64L << 10, 1L << 20, 8L << 20, 64L << 20};

  private static final int SETTLING_WINDOW = 30;
  private static final int MOST_SETTLING = 150;

  private final BenchOptions options;

  CollectiveRows(BenchOptions options) {
    this.options = options;
  }

  /** What is compared; the labels are the words of the C program. */
  private enum Collective {
    ALL_REDUCE("allReduce", "all-reduce"),
    ALL_GATHER("allGather", "all-gather"),
    REDUCE_SCATTER("reduceScatter", "reduce-scatter");

    private final String word;
    private final String title;

    Collective(String word, String title) {
      this.word = word;
      this.title = title;
    }
  }

  List<Row> measure() throws IOException, InterruptedException {
    List<Row> rows = new ArrayList<>();
    Path source = Peers.root().resolve("jmh/src/main/c/mpi_operations.c");
    if (!Peers.onPath("mpicc") || !Peers.onPath("mpirun") || !Files.isRegularFile(source)) {
      options.say("collectives: there is no Open MPI with its compiler to be beside");
      return rows;
    }
    Path program = Files.createTempFile("mpi_operations", "");
    try {
      compile(source, program);
      try (LineProcess inC = new LineProcess(command(program), Map.of())) {
        for (Collective collective : Collective.values()) {
          for (long bytes : SIZES) {
            if (!options.wants(name(collective, bytes))) {
              continue;
            }
            Row row = compare(collective, bytes, inC);
            options.say("  " + BenchTable.line(row));
            rows.add(row);
          }
        }
      }
    } finally {
      Files.deleteIfExists(program);
    }
    return rows;
  }

  private static String name(Collective collective, long bytes) {
    return collective.title + " of " + (bytes >> 10) + " KiB";
  }

  private static void compile(Path source, Path program) throws IOException, InterruptedException {
    List<String> command =
        List.of(
            "mpicc",
            "-std=c99",
            "-D_DEFAULT_SOURCE",
            "-O3",
            "-o",
            program.toString(),
            source.toString());
    Process compiler = new ProcessBuilder(command).inheritIO().start();
    if (!compiler.waitFor(2, TimeUnit.MINUTES) || compiler.exitValue() != 0) {
      throw new IOException("heddle bench: mpicc did not compile " + source);
    }
  }

  private static List<String> command(Path program) {
    List<String> command = new ArrayList<>();
    command.add("mpirun");
    if ("root".equals(System.getProperty("user.name"))) {
      command.add("--allow-run-as-root");
    }
    command.addAll(
        List.of("--oversubscribe", "--bind-to", "none", "-n", "" + RANKS, program.toString()));
    return command;
  }

  private Row compare(Collective collective, long bytes, LineProcess inC) {
    int count = (int) Math.clamp((32L << 20) / bytes, 2, 200);
    String turn = collective.word + " " + bytes + " " + count;
    List<Double> ours = new ArrayList<>();
    List<Double> theirs = new ArrayList<>();
    settle(collective, bytes, count);
    for (int round = -2; round < options.rounds(); round++) {
      double our = turn(collective, bytes, count);
      double their = Double.parseDouble(inC.ask(turn, "MICROS "));
      if (round >= 0) {
        ours.add(our);
        theirs.add(their);
      }
    }
    return new Row(
        name(collective, bytes),
        RANKS,
        "f32",
        Medians.of(ours),
        Medians.of(theirs),
        "Open MPI in C",
        "us",
        Targets.COLLECTIVE);
  }

  /** Takes turns of ours until it gets no faster: the peer was compiled before it began. */
  private static void settle(Collective collective, long bytes, int count) {
    Settling settling = new Settling(SETTLING_WINDOW);
    for (int i = 0; i < MOST_SETTLING && !settling.isSettled(); i++) {
      settling.add(turn(collective, bytes, count));
    }
  }

  /** Microseconds of one operation. */
  private static double turn(Collective collective, long bytes, int count) {
    double[] micros = new double[1];
    LocalWorld.run(
        RANKS,
        world -> {
          double mine = rank(world, collective, bytes, count);
          if (world.rank() == 0) {
            micros[0] = mine;
          }
        });
    return micros[0];
  }

  private static double rank(Communicator world, Collective collective, long bytes, int count) {
    try (CpuDevice device = CpuDevice.open("rank" + world.rank(), 1, CpuBackend.BEST);
        MemoryScope lasting = MemoryScope.open()) {
      long size = bytes / Float.BYTES;
      long part = size / RANKS;
      NDArray whole = NDArray.full(device, DType.F32, Shape.of(size), world.rank() + 1);
      NDArray scratch = NDArray.zeros(device, DType.F32, Shape.of(part));
      List<NDArray> parts = new ArrayList<>();
      for (int i = 0; i < RANKS; i++) {
        parts.add(whole.slice(0, i * part, (i + 1) * part));
      }
      Runnable once =
          switch (collective) {
            case ALL_REDUCE -> () -> world.allReduce(whole, ReduceOp.SUM).await();
            case ALL_GATHER -> () -> world.allGather(parts.get(world.rank()), parts).await();
            case REDUCE_SCATTER -> () -> world.reduceScatter(parts, scratch, ReduceOp.SUM).await();
          };
      once.run();
      check(collective, whole, scratch);
      zero(whole);
      // Threads that have just begun may share a core for some hundred operations.
      for (int i = 0; i <= count / 2; i++) {
        once.run();
      }
      world.barrier();
      long start = System.nanoTime();
      for (int i = 0; i < count; i++) {
        once.run();
      }
      world.barrier();
      return (System.nanoTime() - start) * 1e-3 / count;
    }
  }

  /** Sums of sums would not stay finite. */
  private static void zero(NDArray array) {
    array.kernels().fill(array, 0);
  }

  private static void check(Collective collective, NDArray whole, NDArray scratch) {
    float sum = RANKS * (RANKS + 1) / 2f;
    float[] got = (collective == Collective.REDUCE_SCATTER ? scratch : whole).toFloats();
    for (int i = 0; i < got.length; i++) {
      float wanted = collective == Collective.ALL_GATHER ? i / (got.length / RANKS) + 1 : sum;
      if (got[i] != wanted) {
        throw new IllegalStateException(
            "heddle bench: " + collective + " gave " + got[i] + ", wanted " + wanted);
      }
    }
  }
}
