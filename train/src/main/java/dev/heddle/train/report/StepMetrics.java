package dev.heddle.train.report;

import dev.heddle.train.json.Json;
import dev.heddle.train.json.JsonException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What is known of one optimizer step; a line of {@code metrics.jsonl}.
 *
 * @param step the step, from 1
 * @param loss mean over the valid tokens of the global batch, before the step's update
 * @param tokens valid text tokens of the global batch
 * @param gradNorm the global gradient norm before clipping
 * @param learningRate the learning rate of the update
 * @param seconds wall time of the step
 * @param peakBytes most device memory in use since the start, largest over ranks
 */
public record StepMetrics(
    long step,
    double loss,
    long tokens,
    double gradNorm,
    double learningRate,
    double seconds,
    long peakBytes) {

  /** Valid text tokens a second. */
  public double tokensPerSecond() {
    return tokens / seconds;
  }

  /** One line of JSON with every digit; a number that is not finite becomes null. */
  public String toJson() {
    Map<String, @Nullable Object> json = new LinkedHashMap<>();
    json.put("step", step);
    json.put("loss", loss);
    json.put("tokens", tokens);
    json.put("grad_norm", gradNorm);
    json.put("learning_rate", learningRate);
    json.put("seconds", seconds);
    json.put("tokens_per_second", tokensPerSecond());
    json.put("peak_bytes", peakBytes);
    return Json.write(json);
  }

  /**
   * Reads what {@link #toJson} wrote; other fields are ignored.
   *
   * @throws JsonException when a field is missing or of another kind
   */
  public static StepMetrics parse(String line) {
    Map<String, @Nullable Object> json = Json.parseObject(line);
    return new StepMetrics(
        Json.whole(json.get("step"), "step"),
        Json.number(json.get("loss"), "loss"),
        Json.whole(json.get("tokens"), "tokens"),
        Json.number(json.get("grad_norm"), "grad_norm"),
        Json.number(json.get("learning_rate"), "learning_rate"),
        Json.number(json.get("seconds"), "seconds"),
        Json.whole(json.get("peak_bytes"), "peak_bytes"));
  }
}
