// SPDX-License-Identifier: Apache-2.0
package ai.oaq.sample;

import ai.oaq.tflite.OaqDelegate;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.tensorflow.lite.DataType;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.Tensor;

/** A network that classifies one picture at a time; knows nothing of Android. */
final class Classifier implements AutoCloseable {
  /** What a network was trained on in place of a pixel's 0 to 255. */
  enum Pixels {
    RAW(1f, 0f),
    UNIT(1 / 255f, 0f),
    SIGNED(2 / 255f, -1f);

    private final float scale;
    private final float shift;

    Pixels(float scale, float shift) {
      this.scale = scale;
      this.shift = shift;
    }
  }

  private final OaqDelegate delegate;
  private final Pixels pixels;
  private final Interpreter interpreter;
  private final ByteBuffer input;
  private final ByteBuffer output;

  /**
   * Loads a network.
   *
   * @param model a .tflite file, in a direct buffer
   * @param delegate what runs it before the stock kernels, or null; closed with the classifier
   * @param numThreads of the stock kernels
   * @param pixels what it takes, where its input is float
   */
  Classifier(ByteBuffer model, OaqDelegate delegate, int numThreads, Pixels pixels) {
    this.delegate = delegate;
    this.pixels = pixels;
    final Interpreter.Options options = new Interpreter.Options();
    options.setNumThreads(numThreads);
    options.setUseXNNPACK(true);
    if (delegate != null) {
      options.addDelegate(delegate);
    }
    try {
      interpreter = new Interpreter(model, options);
    } catch (RuntimeException error) {
      if (delegate != null) {
        delegate.close(); // Nobody else holds it.
      }
      throw error;
    }
    input = buffer(interpreter.getInputTensor(0));
    output = buffer(interpreter.getOutputTensor(0));
  }

  int height() {
    return interpreter.getInputTensor(0).shape()[1];
  }

  int width() {
    return interpreter.getInputTensor(0).shape()[2];
  }

  /** Sets the picture: height times width pixels, 0xAARRGGBB. */
  void setPicture(int[] pixels) {
    final Tensor tensor = interpreter.getInputTensor(0);
    final int channels = tensor.shape()[3];
    input.rewind();
    for (int pixel : pixels) {
      final int red = pixel >> 16 & 255;
      final int green = pixel >> 8 & 255;
      final int blue = pixel & 255;
      if (channels == 1) {
        put(tensor.dataType(), (red + green + blue) / 3);
      } else {
        put(tensor.dataType(), red);
        put(tensor.dataType(), green);
        put(tensor.dataType(), blue);
      }
    }
  }

  /** Runs the network once and returns how many nanoseconds it took. */
  long run() {
    input.rewind();
    output.rewind();
    final long start = System.nanoTime();
    interpreter.run(input, output);
    return System.nanoTime() - start;
  }

  /** The class with the highest score of the last run. */
  int answer() {
    final DataType type = interpreter.getOutputTensor(0).dataType();
    final int classes = interpreter.getOutputTensor(0).numElements();
    int best = 0;
    for (int i = 1; i < classes; ++i) {
      if (score(type, i) > score(type, best)) {
        best = i;
      }
    }
    return best;
  }

  /** The bytes of the last run's output. */
  byte[] scores() {
    final byte[] bytes = new byte[output.capacity()];
    output.rewind();
    output.get(bytes);
    return bytes;
  }

  @Override
  public void close() {
    interpreter.close();
    if (delegate != null) {
      delegate.close();
    }
  }

  // Of 8-bit inputs the whole range is that of a pixel.
  private void put(DataType type, int value) {
    switch (type) {
      case UINT8:
        input.put((byte) value);
        break;
      case INT8:
        input.put((byte) (value - 128));
        break;
      case FLOAT32:
        input.putFloat(value * pixels.scale + pixels.shift);
        break;
      default:
        throw new IllegalArgumentException(
            "the model's input is " + type + ", expected UINT8, INT8 or FLOAT32");
    }
  }

  private float score(DataType type, int index) {
    switch (type) {
      case UINT8:
        return output.get(index) & 255;
      case INT8:
        return output.get(index);
      case FLOAT32:
        return output.getFloat(4 * index);
      default:
        throw new IllegalArgumentException(
            "the model's output is " + type + ", expected UINT8, INT8 or FLOAT32");
    }
  }

  private static ByteBuffer buffer(Tensor tensor) {
    return ByteBuffer.allocateDirect(tensor.numBytes()).order(ByteOrder.nativeOrder());
  }
}
