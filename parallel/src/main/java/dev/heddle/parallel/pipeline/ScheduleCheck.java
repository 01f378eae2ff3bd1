package dev.heddle.parallel.pipeline;

import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Exchange;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.ReduceGradients;
import dev.heddle.parallel.pipeline.Instruction.Step;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Proves before launch that a schedule ends: it is run with every communication a rendezvous (a
 * rank waits until all that must meet have arrived), which is the strictest machine there is. If no
 * rank can go on, the schedule is refused with the ranks and the instructions that wait for each
 * other. It is also checked that nothing goes backward that did not go forward, and nothing twice.
 */
public final class ScheduleCheck {
  private final Schedule schedule;
  private final Map<String, Mesh> meshes;
  private final Map<Integer, Integer> next = new HashMap<>();

  private ScheduleCheck(Schedule schedule, Map<String, Mesh> meshes) {
    this.schedule = schedule;
    this.meshes = meshes;
  }

  /**
   * Checks a schedule.
   *
   * @param meshes the ranks of each component, by name
   * @throws IllegalArgumentException naming the ranks and instructions at fault
   */
  public static void check(Schedule schedule, Map<String, Mesh> meshes) {
    ScheduleCheck check = new ScheduleCheck(schedule, meshes);
    check.checkOrder();
    check.checkProgress();
  }

  private void checkOrder() {
    schedule
        .ranks()
        .forEach(
            (rank, list) -> {
              Set<Instruction> done = new HashSet<>();
              for (Instruction instruction : list) {
                if (!done.add(instruction)) {
                  throw refuse(rank, instruction, "stands in the list twice");
                }
                if (instruction instanceof Backward backward
                    && !done.contains(new Forward(backward.component(), backward.microBatch()))) {
                  throw refuse(rank, instruction, "comes before its forward");
                }
                if (!members(instruction).contains(rank)) {
                  throw refuse(rank, instruction, "does not concern this rank");
                }
              }
            });
  }

  private static IllegalArgumentException refuse(int rank, Instruction instruction, String why) {
    return new IllegalArgumentException("schedule: rank " + rank + ": " + instruction + " " + why);
  }

  /**
   * Every pass moves each rank on as far as it can get; no movement before the end is a deadlock.
   */
  private void checkProgress() {
    schedule.ranks().keySet().forEach(rank -> next.put(rank, 0));
    boolean moved = true;
    while (moved) {
      moved = false;
      for (int rank : schedule.ranks().keySet()) {
        Instruction instruction = current(rank);
        if (instruction == null) {
          continue;
        }
        List<Integer> members = members(instruction);
        if (members.stream().allMatch(member -> instruction.equals(current(member)))) {
          members.forEach(member -> next.merge(member, 1, Integer::sum));
          moved = true;
        }
      }
    }
    List<String> stuck = new ArrayList<>();
    for (int rank : schedule.ranks().keySet()) {
      Instruction instruction = current(rank);
      if (instruction != null) {
        List<Integer> missing =
            members(instruction).stream()
                .filter(member -> !instruction.equals(current(member)))
                .toList();
        stuck.add("rank " + rank + " at " + instruction + " waits for ranks " + missing);
      }
    }
    if (!stuck.isEmpty()) {
      throw new IllegalArgumentException(
          "schedule: it would never end: " + String.join("; ", stuck));
    }
  }

  private @Nullable Instruction current(int rank) {
    List<Instruction> list = schedule.ranks().get(rank);
    int index = next.getOrDefault(rank, 0);
    return list == null || index >= list.size() ? null : list.get(index);
  }

  /** The ranks that must be at the instruction together: tensor-parallel ranks compute together. */
  private List<Integer> members(Instruction instruction) {
    return switch (instruction) {
      case Forward forward -> ranks(forward.component());
      case Backward backward -> ranks(backward.component());
      case Exchange exchange -> schedule.meeting().getOrDefault(exchange.boundary(), List.of());
      case ReduceGradients reduce -> ranks(reduce.component());
      case Step step -> List.copyOf(schedule.ranks().keySet());
    };
  }

  private List<Integer> ranks(String component) {
    Mesh mesh = meshes.get(component);
    return mesh == null ? List.of() : mesh.ranks();
  }
}
