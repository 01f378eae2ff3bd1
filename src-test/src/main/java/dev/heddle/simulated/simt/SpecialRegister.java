package dev.heddle.simulated.simt;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Special registers of 32 bits that keep their value while a block runs. */
enum SpecialRegister {
  TID_X("%tid.x", (warp, lane) -> thread(warp, lane) % warp.block.launch().blockX()),
  TID_Y(
      "%tid.y",
      (warp, lane) ->
          thread(warp, lane) / warp.block.launch().blockX() % warp.block.launch().blockY()),
  TID_Z(
      "%tid.z",
      (warp, lane) ->
          thread(warp, lane) / warp.block.launch().blockX() / warp.block.launch().blockY()),
  NTID_X("%ntid.x", (warp, lane) -> warp.block.launch().blockX()),
  NTID_Y("%ntid.y", (warp, lane) -> warp.block.launch().blockY()),
  NTID_Z("%ntid.z", (warp, lane) -> warp.block.launch().blockZ()),
  CTAID_X("%ctaid.x", (warp, lane) -> warp.block.blockX()),
  CTAID_Y("%ctaid.y", (warp, lane) -> warp.block.blockY()),
  CTAID_Z("%ctaid.z", (warp, lane) -> warp.block.blockZ()),
  NCTAID_X("%nctaid.x", (warp, lane) -> warp.block.launch().gridX()),
  NCTAID_Y("%nctaid.y", (warp, lane) -> warp.block.launch().gridY()),
  NCTAID_Z("%nctaid.z", (warp, lane) -> warp.block.launch().gridZ()),
  LANEID("%laneid", (warp, lane) -> lane),
  WARPID("%warpid", (warp, lane) -> warp.number),
  NWARPID("%nwarpid", (warp, lane) -> warp.block.warps()),
  SMID("%smid", (warp, lane) -> 0),
  NSMID("%nsmid", (warp, lane) -> 1),
  LANEMASK_EQ("%lanemask_eq", (warp, lane) -> 1 << lane),
  LANEMASK_LT("%lanemask_lt", (warp, lane) -> (1 << lane) - 1),
  LANEMASK_LE("%lanemask_le", (warp, lane) -> (1 << lane) | ((1 << lane) - 1)),
  LANEMASK_GT("%lanemask_gt", (warp, lane) -> ~((1 << lane) | ((1 << lane) - 1))),
  LANEMASK_GE("%lanemask_ge", (warp, lane) -> ~((1 << lane) - 1)),
  DYNAMIC_SMEM_SIZE("%dynamic_smem_size", (warp, lane) -> warp.block.launch().sharedBytes()),
  TOTAL_SMEM_SIZE("%total_smem_size", (warp, lane) -> warp.shared.byteSize());

  /** A lane's value. */
  private interface Value {
    int of(Warp warp, int lane);
  }

  private static final Map<String, SpecialRegister> BY_NAME = new HashMap<>();

  static {
    for (SpecialRegister register : values()) {
      BY_NAME.put(register.ptxName, register);
    }
  }

  private final String ptxName;

  @SuppressWarnings("ImmutableEnumChecker") // Every value is a function of its arguments alone.
  private final Value value;

  SpecialRegister(String ptxName, Value value) {
    this.ptxName = ptxName;
    this.value = value;
  }

  static @Nullable SpecialRegister of(String name) {
    return BY_NAME.get(name);
  }

  int value(Warp warp, int lane) {
    return value.of(warp, lane);
  }

  private static int thread(Warp warp, int lane) {
    return warp.firstThread + lane;
  }
}
