package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Holdings;
import dev.heddle.parallel.layout.RowRuns;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Executes a plan on arrays, all ranks in turn; what was never written stays NaN. */
final class PlanSimulator {
  final Map<Integer, Long> sent = new HashMap<>();
  final Map<Integer, Long> received = new HashMap<>();
  private final Map<PlanBuffer, Map<Integer, double[][]>> memory = new EnumMap<>(PlanBuffer.class);
  private final TransferPlan plan;

  PlanSimulator(TransferPlan plan) {
    this.plan = plan;
  }

  /** The outputs of all ranks, as [rank][buffer row][buffer column]. */
  Map<Integer, double[][]> run(Map<Integer, double[][]> input) {
    plan.buffers().forEach((buffer, holdings) -> memory.put(buffer, empty(holdings)));
    memory.put(PlanBuffer.INPUT, input);
    for (Phase phase : plan.phases()) {
      // Messages leave before any of them arrives: a phase must not depend on its own order.
      List<double[][]> messages = new ArrayList<>();
      for (Transfer transfer : phase.transfers()) {
        messages.add(pack(transfer, memory.get(phase.reads()).get(transfer.from())));
      }
      for (boolean adding : new boolean[] {false, true}) {
        for (int i = 0; i < messages.size(); i++) {
          Transfer transfer = phase.transfers().get(i);
          if (transfer.accumulate() == adding) {
            unpack(transfer, messages.get(i), memory.get(phase.writes()).get(transfer.to()));
          }
        }
      }
    }
    return memory.get(PlanBuffer.OUTPUT);
  }

  private double[][] pack(Transfer transfer, double[][] buffer) {
    double[][] message = new double[(int) transfer.rows()][];
    int next = 0;
    for (RowPiece piece : transfer.pieces()) {
      for (long row = 0; row < piece.rows(); row++) {
        double[] values = buffer[(int) (piece.sourcePlace() + row)];
        int from = (int) transfer.sourceColumn();
        message[next++] = Arrays.copyOfRange(values, from, from + (int) transfer.features().size());
      }
    }
    if (!transfer.isLocal()) {
      sent.merge(transfer.from(), volume(message), Long::sum);
      received.merge(transfer.to(), volume(message), Long::sum);
    }
    return message;
  }

  private static long volume(double[][] message) {
    return Arrays.stream(message).mapToLong(row -> row.length).sum();
  }

  private static void unpack(Transfer transfer, double[][] message, double[][] buffer) {
    int next = 0;
    for (RowPiece piece : transfer.pieces()) {
      for (long row = 0; row < piece.rows(); row++) {
        double[] target = buffer[(int) (piece.targetPlace() + row)];
        double[] values = message[next++];
        for (int column = 0; column < values.length; column++) {
          int at = (int) transfer.targetColumn() + column;
          target[at] = transfer.accumulate() ? target[at] + values[column] : values[column];
        }
      }
    }
  }

  /** Buffers of NaN for each rank. */
  static Map<Integer, double[][]> empty(Holdings holdings) {
    Map<Integer, double[][]> buffers = new HashMap<>();
    for (Holding holding : holdings.all()) {
      double[][] buffer = new double[(int) holding.bufferRows()][(int) holding.features().size()];
      for (double[] row : buffer) {
        Arrays.fill(row, Double.NaN);
      }
      buffers.put(holding.rank(), buffer);
    }
    return buffers;
  }

  /** Each rank's buffer of a value given as [summand][row][feature]. */
  static Map<Integer, double[][]> store(double[][][] summands, Holdings holdings) {
    Map<Integer, double[][]> buffers = empty(holdings);
    for (Holding holding : holdings.all()) {
      double[][] buffer = buffers.get(holding.rank());
      RowRuns runs = holding.runs();
      for (int run = 0; run < runs.count(); run++) {
        for (long row = runs.start(run); row < runs.end(run); row++) {
          System.arraycopy(
              summands[holding.summand()][(int) row],
              (int) holding.features().start(),
              buffer[(int) runs.placeOf(row)],
              0,
              (int) holding.features().size());
        }
      }
    }
    return buffers;
  }
}
