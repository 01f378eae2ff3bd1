package dev.heddle.parity;

import dev.heddle.parallel.comm.mpi.MpiProcess;
import dev.heddle.parallel.component.StepResult;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What each process of {@link MpiParityTest} runs: one layout after the other, and leaves what its
 * rank came to in a file each.
 */
public final class MpiParityMain {
  private MpiParityMain() {}

  /** The arguments: a folder, then layouts of as many ranks as there are processes. */
  public static void main(String[] arguments) throws IOException {
    Path folder = Path.of(arguments[0]);
    List<String> layouts = Arrays.asList(arguments).subList(1, arguments.length);
    try (MpiProcess process = MpiProcess.start()) {
      for (String layout : layouts) {
        Outcome outcome = experiment(layout).runIn(process);
        write(outcome, file(folder, layout, process.rank()));
      }
    }
  }

  /** What is trained under a layout, over processes as over threads. */
  static Experiment experiment(String layout) {
    Experiment experiment = Experiment.under(layout).steps(6);
    experiment.clipNorm = 0.5;
    experiment.microBatches = layout.contains("pp") ? 4 : 2;
    return experiment;
  }

  private static Path file(Path folder, String layout, int rank) {
    return folder.resolve(Integer.toHexString(layout.hashCode()) + "-" + rank);
  }

  private static void write(Outcome outcome, Path file) throws IOException {
    try (DataOutputStream out = new DataOutputStream(Files.newOutputStream(file))) {
      out.writeInt(outcome.steps().size());
      for (StepResult step : outcome.steps()) {
        out.writeDouble(step.loss());
        out.writeLong(step.tokens());
        out.writeDouble(step.gradientNorm());
        out.writeBoolean(step.skipped());
      }
      out.writeInt(outcome.weights().size());
      for (Map.Entry<String, double[]> weight : outcome.weights().entrySet()) {
        out.writeUTF(weight.getKey());
        write(weight.getValue(), out);
      }
      out.writeInt(outcome.shards().size());
      for (Outcome.Shard shard : outcome.shards()) {
        out.writeUTF(shard.name());
        out.writeInt(shard.shape().length);
        for (long size : shard.shape()) {
          out.writeLong(size);
        }
        out.writeInt(shard.dim());
        out.writeLong(shard.start());
        out.writeLong(shard.count());
        write(shard.values(), out);
      }
    }
  }

  private static void write(double[] values, DataOutputStream out) throws IOException {
    out.writeInt(values.length);
    for (double value : values) {
      out.writeDouble(value);
    }
  }

  /** What all processes came to under a layout. */
  static Outcome read(Path folder, String layout) throws IOException {
    List<StepResult> steps = new ArrayList<>();
    Map<String, double[]> weights = new LinkedHashMap<>();
    List<Outcome.Shard> shards = new ArrayList<>();
    for (int rank = 0; rank < Layouts.of(layout).ranks(); rank++) {
      Path file = file(folder, layout, rank);
      try (DataInputStream in = new DataInputStream(Files.newInputStream(file))) {
        List<StepResult> own = new ArrayList<>();
        int count = in.readInt();
        for (int i = 0; i < count; i++) {
          own.add(
              new StepResult(in.readDouble(), in.readLong(), in.readDouble(), in.readBoolean()));
        }
        if (rank > 0 && !own.equals(steps)) {
          throw new AssertionError(
              layout + ": step results of rank " + rank + ", " + own + ", of rank 0 " + steps);
        }
        steps = own;
        int weightCount = in.readInt();
        for (int i = 0; i < weightCount; i++) {
          weights.put(in.readUTF(), readValues(in));
        }
        int shardCount = in.readInt();
        for (int i = 0; i < shardCount; i++) {
          String name = in.readUTF();
          long[] shape = new long[in.readInt()];
          for (int dim = 0; dim < shape.length; dim++) {
            shape[dim] = in.readLong();
          }
          shards.add(
              new Outcome.Shard(
                  rank, name, shape, in.readInt(), in.readLong(), in.readLong(), readValues(in)));
        }
      }
    }
    return new Outcome(steps, weights, Map.of(), shards, List.of(), List.of());
  }

  private static double[] readValues(DataInputStream in) throws IOException {
    double[] values = new double[in.readInt()];
    for (int i = 0; i < values.length; i++) {
      values[i] = in.readDouble();
    }
    return values;
  }
}
