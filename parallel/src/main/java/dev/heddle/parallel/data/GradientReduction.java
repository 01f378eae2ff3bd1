package dev.heddle.parallel.data;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Parameter;
import dev.heddle.optim.ParameterPart;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.runtime.NDArray;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Sums gradients over the ranks that hold the same parameters and saw other samples. A sum, never a
 * mean: the one scale 1/N is applied by the optimizer (see {@code dev.heddle.parallel.component}).
 * A rank that saw no sample contributes zeros.
 *
 * <p>Gradients are kept in buckets, in the order in which a backward pass completes them: the
 * reverse of the parameters' order. A bucket's reduction is posted while the backward pass goes on,
 * as soon as its gradients are complete (Li et al., "PyTorch Distributed", VLDB 2020). Buckets are
 * posted in the same order on every replica, whatever order a replica completes them in: one that
 * is complete early waits for those before it. So replicas that see other samples, or none, never
 * pair different buckets; and the bits do not depend on what was posted when.
 *
 * <p>Where replicas divide the optimizer (ZeRO-1; Rajbhandari et al., SC 2020), each gets the sum
 * of its part of every bucket only, and hands the updated weights of that part to the others.
 */
public final class GradientReduction {
  /** The size of a bucket if nothing else is said: 4 MiB. */
  public static final long BUCKET_BYTES = 4L << 20;

  private final boolean divided;
  private final List<GradientBucket> buckets = new ArrayList<>();
  private final Map<Tensor, GradientBucket> bucketOf = new HashMap<>();

  /** How many buckets have been posted in this step. */
  private int posted;

  /**
   * A reduction over {@code replicas}. The buckets' memory belongs to the scope that is open, which
   * must outlive this reduction.
   *
   * @param parameters this rank's parameters, in the same order on every replica
   * @param bucketBytes a bucket is full when a further parameter would make it larger than this; a
   *     larger parameter has one for itself
   * @param divided whether each replica gets its part of the sum instead of all
   */
  public GradientReduction(
      Communicator replicas, List<Parameter> parameters, long bucketBytes, boolean divided) {
    this.divided = divided;
    if (bucketBytes < 1) {
      throw new IllegalArgumentException(
          "gradient reduction: got buckets of " + bucketBytes + " bytes, wanted at least 1");
    }
    List<Parameter> filling = new ArrayList<>();
    long filled = 0;
    for (Parameter parameter : parameters.reversed()) {
      NDArray value = parameter.tensor().value();
      long bytes = value.size() * value.dtype().byteSize();
      boolean fits =
          filling.isEmpty()
              || (filled + bytes <= bucketBytes
                  && filling.getFirst().tensor().dtype() == value.dtype());
      if (!fits) {
        add(new GradientBucket(replicas, filling, divided), filling);
        filling = new ArrayList<>();
        filled = 0;
      }
      filling.add(parameter);
      filled += bytes;
    }
    if (!filling.isEmpty()) {
      add(new GradientBucket(replicas, filling, divided), filling);
    }
  }

  private void add(GradientBucket bucket, List<Parameter> parameters) {
    buckets.add(bucket);
    parameters.forEach(parameter -> bucketOf.put(parameter.tensor(), bucket));
    bucket.onComplete(this::postComplete);
  }

  /** How many collectives a reduction takes. */
  public int bucketCount() {
    return buckets.size();
  }

  /**
   * Says that the backward passes from now to {@link #reduce} reach each of {@code parameters} once
   * at most: so a gradient is complete when its hook is called. Parameters of other reductions are
   * passed over.
   */
  public void lastBackward(Collection<Parameter> parameters) {
    for (Parameter parameter : parameters) {
      GradientBucket bucket = bucketOf.get(parameter.tensor());
      if (bucket != null) {
        bucket.expectLast(parameter.tensor());
      }
    }
  }

  /** Posts the buckets whose turn it is. */
  private void postComplete() {
    while (posted < buckets.size() && buckets.get(posted).isComplete()) {
      buckets.get(posted++).post();
    }
  }

  /**
   * Makes gradients the sum over all replicas: all of them, or where replicas divide the work those
   * of {@link #parts}; elsewhere they are left undefined. Posts what was not yet, then waits.
   */
  public void reduce() {
    while (posted < buckets.size()) {
      buckets.get(posted++).post();
    }
    buckets.forEach(GradientBucket::await);
    posted = 0;
  }

  /** What this rank has the sum of, of every parameter; may be empty of some. */
  public List<ParameterPart> parts() {
    return buckets.stream().flatMap(bucket -> bucket.ownParts().stream()).toList();
  }

  /**
   * Where replicas divide the work: makes every replica's weights those that the replicas have
   * updated, each its {@link #parts}. Overwrites gradients. All replicas call it together.
   */
  public void gatherWeights() {
    if (divided) {
      buckets.forEach(GradientBucket::postWeights);
      buckets.forEach(GradientBucket::awaitWeights);
    }
  }
}
