package dev.heddle.train.dataset;

import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Split;
import dev.heddle.train.dataset.CounterHash.Purpose;
import java.util.ArrayList;
import java.util.List;

/**
 * Which training examples a step consists of, and which of them a rank needs. A function of (seed,
 * step) alone, so every rank knows the whole plan without a message and no rank reads what it does
 * not need; resuming is asking for a later step.
 *
 * <p>The examples of all steps are one long row: epoch after epoch, each in its own order. Step
 * {@code s} (from 1) takes the next {@code globalBatch} of it; those are cut into {@code
 * microBatches} consecutive parts, and each part over the data-parallel coordinates. Every cut is a
 * {@link Split}: the first parts are one longer where it does not divide.
 *
 * <p>Not safe for use by several threads; each rank has its own.
 */
public final class BatchPlan {
  private final int exampleCount;
  private final int globalBatch;
  private final int microBatches;
  private final long seed;
  private final double textOnly;
  private int[] order = new int[0];
  private int orderEpoch = -1;

  /**
   * A training example as one step sees it.
   *
   * @param example its index among the training examples
   * @param epoch how often the whole set was gone through before
   * @param hasPicture whether it comes with its picture; without one it is words only
   */
  public record Sample(int example, int epoch, boolean hasPicture) {
    /** A sample with its picture. */
    public Sample(int example, int epoch) {
      this(example, epoch, true);
    }
  }

  /** A plan of samples that all have their pictures. */
  public BatchPlan(int exampleCount, int globalBatch, int microBatches, long seed) {
    this(exampleCount, globalBatch, microBatches, seed, 0);
  }

  /**
   * A plan.
   *
   * @param exampleCount training examples, at least 1
   * @param globalBatch samples a step over all ranks
   * @param microBatches consecutive parts of a step, at most {@code globalBatch}
   * @param seed the seed of the order
   * @param textOnly the part of the samples that come without a picture, 0 to 1
   */
  public BatchPlan(
      int exampleCount, int globalBatch, int microBatches, long seed, double textOnly) {
    if (exampleCount < 1 || microBatches < 1 || globalBatch < microBatches) {
      throw new IllegalArgumentException(
          "exampleCount %d, globalBatch %d, microBatches %d: want 1 <= microBatches <= globalBatch"
                  .formatted(exampleCount, globalBatch, microBatches)
              + " and an example");
    }
    this.exampleCount = exampleCount;
    this.globalBatch = globalBatch;
    this.microBatches = microBatches;
    this.seed = seed;
    this.textOnly = textOnly;
  }

  /**
   * All samples of a micro batch, in global order.
   *
   * @param step the step, from 1
   * @param microBatch the micro batch, from 0
   */
  public List<Sample> microBatch(long step, int microBatch) {
    return samples(step, microBatch, 0, 1);
  }

  /**
   * The samples of a micro batch that one data-parallel coordinate needs, in global order.
   *
   * @param step the step, from 1
   * @param microBatch the micro batch, from 0
   * @param coordinate the rank's coordinate on the data-parallel axis
   * @param size the size of that axis
   */
  public List<Sample> samples(long step, int microBatch, int coordinate, int size) {
    if (step < 1 || microBatch < 0 || microBatch >= microBatches) {
      throw new IllegalArgumentException(
          "step %d, micro batch %d: steps count from 1, micro batches are 0 to %d"
              .formatted(step, microBatch, microBatches - 1));
    }
    Interval part = Split.part(globalBatch, microBatches, microBatch);
    Interval own = Split.part(part.size(), size, coordinate);
    int first = (int) (part.start() + own.start());
    int last = (int) (part.start() + own.end());
    List<Sample> samples = new ArrayList<>(last - first);
    for (int i = first; i < last; i++) {
      long position = Math.addExact(Math.multiplyExact(step - 1, (long) globalBatch), i);
      int epoch = Math.toIntExact(position / exampleCount);
      samples.add(
          new Sample(order(epoch)[(int) (position % exampleCount)], epoch, hasPicture(step, i)));
    }
    return samples;
  }

  /** A function of the sample's place in the run, so it is the same under every layout. */
  private boolean hasPicture(long step, int sample) {
    long bits = CounterHash.bits(seed, Purpose.TEXT_ONLY, step, sample, 0);
    return CounterHash.uniform(bits, 0, 1) >= textOnly;
  }

  /** Fisher-Yates; kept until another epoch is asked for. */
  private int[] order(int epoch) {
    if (epoch == orderEpoch) {
      return order;
    }
    if (order.length != exampleCount) {
      order = new int[exampleCount];
    }
    for (int i = 0; i < exampleCount; i++) {
      int other = CounterHash.below(CounterHash.bits(seed, Purpose.ORDER, epoch, 0, i), i + 1);
      order[i] = order[other];
      order[other] = i;
    }
    orderEpoch = epoch;
    return order;
  }
}
