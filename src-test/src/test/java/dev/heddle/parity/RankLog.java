package dev.heddle.parity;

import dev.heddle.parallel.comm.CommunicationStatistics;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What one rank measured in each step. */
final class RankLog {
  /** The communication of each step. */
  final List<CommunicationStatistics> communication = new ArrayList<>();

  /** How often the pool had gone to the system when each step had ended. */
  final List<Long> systemAllocations = new ArrayList<>();

  /** The most device memory that was in use at once. */
  long peakBytes;

  /** The bytes of optimizer state of each component that the rank runs. */
  final Map<String, Long> stateBytes = new TreeMap<>();

  /** The loss scale after each step. */
  final List<Double> lossScales = new ArrayList<>();

  /** Bytes of heap that this rank's thread allocated in each step. */
  final List<Long> heapBytes = new ArrayList<>();
}
