import unittest
import xml.etree.ElementTree

from svg_plot import Line, Plot, linear_ticks, log_ticks, number_text, render

SVG = "{http://www.w3.org/2000/svg}"


class TicksTest(unittest.TestCase):
    def test_linear_ticks_are_round_and_enclose_the_range(self):
        self.assertEqual(linear_ticks(0, 100), [0, 20, 40, 60, 80, 100])
        self.assertEqual(linear_ticks(0, 0.7)[-1], 0.8)
        self.assertEqual(linear_ticks(0, 0), [0, 0.2, 0.4, 0.6, 0.8, 1])

    def test_log_ticks_enclose_the_range(self):
        self.assertEqual(log_ticks(1, 1000), [1, 10, 100, 1000])
        self.assertEqual(log_ticks(30, 60), [20, 50, 100])
        for low, high in ((1, 1), (64, 9000), (0.3, 7), (999, 1001)):
            ticks = log_ticks(low, high)
            self.assertLessEqual(ticks[0], low)
            self.assertGreaterEqual(ticks[-1], high)
            self.assertGreaterEqual(len(ticks), 2 if low != high else 1)

    def test_numbers_are_short(self):
        self.assertEqual([number_text(value) for value in (0, 0.25, 1500, 2e6)], ["0", "0.25", "1.5k", "2M"])


class RenderTest(unittest.TestCase):
    def parse(self, plot):
        return xml.etree.ElementTree.fromstring(render(plot))

    def test_each_point_is_drawn_within_the_picture(self):
        plot = Plot("t", "x", "y", [Line("a", [(8, 100, 90, 120), (1, 50, 40, 60)]), Line("b", [(1000, 7)])], True, True)
        root = self.parse(plot)
        circles = root.findall(f"{SVG}circle")
        self.assertEqual(len(circles), 3)
        for circle in circles:
            self.assertTrue(0 < float(circle.get("cx")) < 720)
            self.assertTrue(0 < float(circle.get("cy")) < 420)
        # In the order of x: the smaller value of a line lies to the left, and lower values lie lower.
        xs = [float(circle.get("cx")) for circle in circles[:2]]
        ys = [float(circle.get("cy")) for circle in circles[:2]]
        self.assertLess(xs[0], xs[1])
        self.assertGreater(ys[0], ys[1])

    def test_labels_are_escaped(self):
        texts = [element.text for element in self.parse(Plot("a < b & c", "x", "y", [Line("<l>", [(1, 1)])])).iter()]
        self.assertIn("a < b & c", texts)
        self.assertIn("<l>", texts)

    def test_a_logarithmic_axis_leaves_out_what_it_cannot_show(self):
        root = self.parse(Plot("t", "x", "y", [Line("a", [(0, 5), (10, 5), (10, 0)]), Line("none", [(0, 0)])], True, True))
        self.assertEqual(len(root.findall(f"{SVG}circle")), 1)
        self.assertEqual(len(root.findall(f"{SVG}polyline")), 1)

    def test_one_point_and_equal_values_can_be_drawn(self):
        for logarithmic in (False, True):
            self.parse(Plot("t", "x", "y", [Line("a", [(10, 10, 10, 10)])], logarithmic, logarithmic))

    def test_nothing_to_draw_is_an_error(self):
        with self.assertRaises(ValueError):
            render(Plot("t", "x", "y", [Line("a", [])]))

    def test_the_same_input_gives_the_same_text(self):
        plot = Plot("t", "x", "y", [Line("a", [(1, 2), (3, 4)])])
        self.assertEqual(render(plot), render(plot))


if __name__ == "__main__":
    unittest.main()
