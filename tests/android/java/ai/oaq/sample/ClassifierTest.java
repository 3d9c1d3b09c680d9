// SPDX-License-Identifier: Apache-2.0
package ai.oaq.sample;

import ai.oaq.tflite.OaqDelegate;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;

/**
 * The sample's classifiers in TensorFlow Lite's own Java interpreter: RUNTIME FOLDER BUILTIN.
 *
 * <p>The folder has stock.tflite, ours.tflite and picture, the pixels as big-endian integers. It
 * gets stock.scores, ours.scores and plan.json; the two classes are printed.
 */
final class ClassifierTest {
  public static void main(String[] arguments) throws IOException {
    System.load(arguments[0]);
    final Path folder = Paths.get(arguments[1]);
    final ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(folder.resolve("picture")));
    final int[] pixels = new int[bytes.remaining() / 4];
    bytes.asIntBuffer().get(pixels);
    final ByteBuffer stockModel = direct(folder.resolve("stock.tflite"));
    final ByteBuffer ourModel = direct(folder.resolve("ours.tflite"));

    final OaqDelegate.Options options =
        new OaqDelegate.Options()
            .setBuiltin(Boolean.parseBoolean(arguments[2]))
            .setNumThreads(2)
            .setIsa("scalar")
            .setPlan(OaqDelegate.Plan.INT16)
            .setProfile(true);
    final OaqDelegate delegate = new OaqDelegate(options);
    try (Classifier stock = new Classifier(stockModel, null, 1, Classifier.Pixels.UNIT);
        Classifier ours = new Classifier(ourModel, delegate, 1, Classifier.Pixels.UNIT)) {
      if (pixels.length != ours.width() * ours.height()) {
        throw new AssertionError(pixels.length + " pixels");
      }
      final Comparison both = new Comparison(stock, ours, pixels);
      if (!(both.stockMilliseconds > 0 && both.ourMilliseconds > 0)) {
        throw new AssertionError("no time");
      }
      Files.write(folder.resolve("stock.scores"), stock.scores());
      Files.write(folder.resolve("ours.scores"), ours.scores());
      Files.write(folder.resolve("plan.json"), delegate.planJson().getBytes("UTF-8"));
      System.out.println(both.stockAnswer + " " + both.ourAnswer);
    }
    expectClosed(delegate);
    final OaqDelegate unused = new OaqDelegate(options);
    try {
      new Classifier(ByteBuffer.allocateDirect(64), unused, 1, Classifier.Pixels.UNIT);
      throw new AssertionError("64 zeros are a model");
    } catch (IllegalArgumentException refused) {
      expectClosed(unused);
    }
  }

  private static void expectClosed(OaqDelegate delegate) {
    try {
      delegate.getNativeHandle();
    } catch (IllegalStateException closed) {
      return;
    }
    throw new AssertionError("a classifier left its delegate open");
  }

  private static ByteBuffer direct(Path file) throws IOException {
    final byte[] content = Files.readAllBytes(file);
    final ByteBuffer buffer = ByteBuffer.allocateDirect(content.length);
    buffer.order(ByteOrder.nativeOrder()).put(content);
    return buffer;
  }
}
