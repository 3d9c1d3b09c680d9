// SPDX-License-Identifier: Apache-2.0
package ai.oaq.sample;

import ai.oaq.tflite.OaqDelegate;
import android.app.Activity;
import android.content.ClipData;
import android.content.Intent;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.net.Uri;
import android.os.Bundle;
import android.view.ViewGroup;
import android.widget.Button;
import android.widget.ImageView;
import android.widget.LinearLayout;
import android.widget.ScrollView;
import android.widget.TextView;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Classifies pictures with stock TensorFlow Lite and with ours, and shows the time of each. */
public final class MainActivity extends Activity {
  private static final int PICK = 1;
  private static final int THREADS = 1;
  private static final int SHOWN_PIXELS = 300;

  /** Opens a picture, twice: once for its size. */
  private interface Source {
    InputStream open() throws IOException;
  }

  // All work with the networks, one after the other.
  private final ExecutorService worker = Executors.newSingleThreadExecutor();
  private LinearLayout rows;
  private Classifier stock;
  private Classifier ours;
  private List<String> labels = new ArrayList<>();

  @Override
  protected void onCreate(Bundle state) {
    super.onCreate(state);
    rows = new LinearLayout(this);
    rows.setOrientation(LinearLayout.VERTICAL);
    final Button pick = new Button(this);
    pick.setText("Pick pictures");
    pick.setOnClickListener(view -> pickPictures());
    rows.addView(pick);
    final ScrollView scroll = new ScrollView(this);
    scroll.addView(rows);
    setContentView(scroll);
    worker.execute(this::loadAndClassifyAssets);
  }

  @Override
  protected void onDestroy() {
    worker.execute(
        () -> {
          if (stock != null) {
            stock.close();
          }
          if (ours != null) {
            ours.close();
          }
        });
    worker.shutdown();
    super.onDestroy();
  }

  private void pickPictures() {
    final Intent intent = new Intent(Intent.ACTION_GET_CONTENT);
    intent.setType("image/*");
    intent.addCategory(Intent.CATEGORY_OPENABLE);
    intent.putExtra(Intent.EXTRA_ALLOW_MULTIPLE, true);
    startActivityForResult(intent, PICK);
  }

  @Override
  protected void onActivityResult(int request, int result, Intent data) {
    super.onActivityResult(request, result, data);
    if (request != PICK || result != RESULT_OK || data == null) {
      return;
    }
    final List<Uri> pictures = new ArrayList<>();
    final ClipData several = data.getClipData();
    if (several != null) {
      for (int i = 0; i < several.getItemCount(); ++i) {
        pictures.add(several.getItemAt(i).getUri());
      }
    } else if (data.getData() != null) {
      pictures.add(data.getData());
    }
    for (Uri picture : pictures) {
      worker.execute(() -> classify(() -> getContentResolver().openInputStream(picture)));
    }
  }

  private void loadAndClassifyAssets() {
    try {
      final ByteBuffer stockModel = asset("stock.tflite");
      final ByteBuffer ourModel = asset("ours.tflite");
      labels = lines("labels.txt");
      final List<String> named = lines("pixels.txt");
      final Classifier.Pixels pixels =
          named.isEmpty()
              ? Classifier.Pixels.UNIT
              : Classifier.Pixels.valueOf(named.get(0).trim().toUpperCase(Locale.ROOT));
      stock = new Classifier(stockModel, null, THREADS, pixels);
      final OaqDelegate.Options options =
          new OaqDelegate.Options().setBuiltin(true).setNumThreads(THREADS);
      ours = new Classifier(ourModel, new OaqDelegate(options), THREADS, pixels);
      for (String name : getAssets().list("pictures")) {
        classify(() -> getAssets().open("pictures/" + name));
      }
    } catch (FileNotFoundException error) {
      show(null, error.getMessage() + " is not in the app: README.md says where models go");
    } catch (IOException | RuntimeException error) {
      show(null, error.toString());
    }
  }

  private void classify(Source picture) {
    if (stock == null || ours == null) {
      return; // The reason is on the screen.
    }
    try {
      final Bitmap shown = decode(picture);
      final int[] pixels = pixels(shown, stock.width(), stock.height());
      final Comparison both = new Comparison(stock, ours, pixels);
      show(
          shown,
          String.format(
              Locale.ROOT,
              "stock: %s, %.2f ms\nours: %s, %.2f ms",
              label(both.stockAnswer),
              both.stockMilliseconds,
              label(both.ourAnswer),
              both.ourMilliseconds));
    } catch (IOException | RuntimeException error) {
      show(null, error.toString());
    }
  }

  private void show(Bitmap picture, String text) {
    runOnUiThread(
        () -> {
          if (picture != null) {
            final ImageView image = new ImageView(this);
            image.setImageBitmap(picture);
            image.setAdjustViewBounds(true);
            rows.addView(image, new ViewGroup.LayoutParams(SHOWN_PIXELS, SHOWN_PIXELS));
          }
          final TextView line = new TextView(this);
          line.setText(text);
          rows.addView(line);
        });
  }

  // No larger than it is shown and classified: a camera's pictures may not fit the heap.
  private Bitmap decode(Source picture) throws IOException {
    final BitmapFactory.Options options = new BitmapFactory.Options();
    options.inJustDecodeBounds = true;
    try (InputStream stream = picture.open()) {
      BitmapFactory.decodeStream(stream, null, options);
    }
    final int least = Math.max(SHOWN_PIXELS, Math.max(stock.width(), stock.height()));
    options.inSampleSize = Math.max(1, Math.min(options.outWidth, options.outHeight) / least);
    options.inJustDecodeBounds = false;
    try (InputStream stream = picture.open()) {
      final Bitmap bitmap = BitmapFactory.decodeStream(stream, null, options);
      if (bitmap == null) {
        throw new IOException("not a picture that Android can read");
      }
      return bitmap;
    }
  }

  private static int[] pixels(Bitmap picture, int width, int height) {
    final Bitmap scaled = Bitmap.createScaledBitmap(picture, width, height, true);
    final int[] pixels = new int[width * height];
    scaled.getPixels(pixels, 0, width, 0, 0, width, height);
    return pixels;
  }

  private String label(int index) {
    return index < labels.size() ? labels.get(index) : "class " + index;
  }

  // Of an asset that may be left out: none then.
  private List<String> lines(String name) throws IOException {
    final List<String> lines = new ArrayList<>();
    if (!Arrays.asList(getAssets().list("")).contains(name)) {
      return lines;
    }
    try (BufferedReader reader =
        new BufferedReader(
            new InputStreamReader(getAssets().open(name), StandardCharsets.UTF_8))) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        lines.add(line);
      }
    }
    return lines;
  }

  private ByteBuffer asset(String name) throws IOException {
    final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (InputStream stream = getAssets().open(name)) {
      final byte[] block = new byte[1 << 16];
      for (int read = stream.read(block); read >= 0; read = stream.read(block)) {
        bytes.write(block, 0, read);
      }
    }
    final ByteBuffer buffer = ByteBuffer.allocateDirect(bytes.size());
    buffer.order(ByteOrder.nativeOrder()).put(bytes.toByteArray());
    return buffer;
  }
}
