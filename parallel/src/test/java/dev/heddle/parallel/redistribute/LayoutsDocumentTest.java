package dev.heddle.parallel.redistribute;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What docs/layouts.md shows is what runs: its code is in this file, its table is printed here. */
class LayoutsDocumentTest {
  private static final Path DOCUMENT = Path.of("..", "docs", "layouts.md");
  private static final Path THIS_FILE =
      Path.of("src/test/java", LayoutsDocumentTest.class.getName().replace('.', '/') + ".java");

  private static BoundaryPlan example() {
    // Three pictures in a batch of three samples: 4 rows, none, 6 rows.
    RowCounts counts = RowCounts.perItem(new int[] {4}, new int[] {}, new int[] {6});

    Mesh visionMesh = Mesh.onRanks(0, 3).axis(Axis.DP, 3).build();
    Layout vision = Layout.on(visionMesh).shard(Axis.DP, RowLayout.SAMPLE_DIM).build();

    Mesh languageMesh = Mesh.onRanks(2, 4).axis(Axis.TP, 2).axis(Axis.CP, 2).build();
    Layout language =
        Layout.on(languageMesh).invariant(Axis.TP).zigzag(Axis.CP, RowLayout.POSITION_DIM).build();
    // Sequences of 8 positions; the picture begins at position 1 of the first, 0 of the last.
    RowPlacement placement =
        RowPlacement.inSequence(
            counts,
            new int[] {8, 8, 8},
            List.of(Intervals.of(1, 5), Intervals.EMPTY, Intervals.of(0, 6)));

    Boundary boundary =
        new Boundary(
            RowLayout.of(vision, counts, 8).build(),
            RowLayout.of(language, placement, 8).inSequence().build());
    BoundaryPlan plan = boundary.plan(Strategy.DIRECT);
    plan.verify();
    return plan;
  }

  @Test
  void document_planExample_isWhatThePlanPrints() throws IOException {
    assertThat(Files.readString(DOCUMENT)).contains("```\n" + example().table(4, 20) + "```");
  }

  @Test
  void document_code_isTheCodeOfThisTest() throws IOException {
    String document = Files.readString(DOCUMENT);
    int start = document.indexOf("```java\n") + "```java\n".length();
    String code = document.substring(start, document.indexOf("```", start));
    assertThat(Files.readString(THIS_FILE)).containsIgnoringWhitespaces(code);
    assertThat(code).contains("plan.verify();");
  }
}
