"""Line plots as SVG, with the standard library alone. The same input gives the same bytes."""
import dataclasses
import html
import math

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 76, 172, 44, 58
COLORS = ("#0b6bcb", "#c4472b", "#2d8a3e", "#8a4fbf", "#b8860b", "#4a4a4a", "#d6408f")
MOST_TICKS = 7


@dataclasses.dataclass
class Line:
    """One line: points (x, y), or (x, y, least, most) with the range of y, in any order of x."""

    label: str
    points: list


@dataclasses.dataclass
class Plot:
    title: str
    x_label: str
    y_label: str
    lines: list
    log_x: bool = False
    log_y: bool = False


def number_text(value):
    """A number for an axis: 1500 is "1.5k", 2000000 is "2M"."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def linear_ticks(low, high):
    """Round values from at or below low to at or above high."""
    if high <= low:
        high = low + 1
    rough = (high - low) / (MOST_TICKS - 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def log_ticks(low, high):
    """Powers of ten around the range; within less than two of them also their 2 and 5 fold."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    below = [tick for tick in ticks if tick <= low * (1 + 1e-9)]
    above = [tick for tick in ticks if tick >= high * (1 - 1e-9)]
    if below[-1] == above[0]:
        return [below[-1], next(tick for tick in ticks + [10 * ticks[-1]] if tick > below[-1])]
    return [tick for tick in ticks if below[-1] <= tick <= above[0]]


class Axis:
    """Maps values to places between two ends of the drawing."""

    def __init__(self, values, logarithmic, begin, end):
        low, high = min(values), max(values)
        self.logarithmic = logarithmic
        self.ticks = log_ticks(low, high) if logarithmic else linear_ticks(min(low, 0), high)
        self.begin, self.end = begin, end

    def place(self, value):
        low, high = self.ticks[0], self.ticks[-1]
        if self.logarithmic:
            value, low, high = math.log10(value), math.log10(low), math.log10(high)
        return self.begin + (value - low) / (high - low) * (self.end - self.begin)


def drawable(plot):
    """The lines without points that the axes cannot show, and without those that then have none."""
    lines = []
    for line in plot.lines:
        points = [point for point in line.points if (point[0] > 0 or not plot.log_x) and (point[1] > 0 or not plot.log_y)]
        if points:
            lines.append(Line(line.label, sorted(points)))
    return lines


def text_at(x, y, text, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{html.escape(text)}</text>'


def stroke(x1, y1, x2, y2, color, width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width}"/>'


def draw_axes(plot, x_axis, y_axis):
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in x_axis.ticks:
        x = x_axis.place(tick)
        parts.append(stroke(x, TOP, x, bottom, "#e0e0e0"))
        parts.append(text_at(x, bottom + 18, number_text(tick)))
    for tick in y_axis.ticks:
        y = y_axis.place(tick)
        parts.append(stroke(LEFT, y, right, y, "#e0e0e0"))
        parts.append(text_at(LEFT - 8, y + 4, number_text(tick), "end"))
    parts.append(stroke(LEFT, bottom, right, bottom, "#222222"))
    parts.append(stroke(LEFT, TOP, LEFT, bottom, "#222222"))
    parts.append(text_at((LEFT + right) / 2, HEIGHT - 16, plot.x_label))
    middle = (TOP + bottom) / 2
    parts.append(text_at(20, middle, plot.y_label, extra=f' transform="rotate(-90 20 {middle:.1f})"'))
    parts.append(text_at(LEFT, 26, plot.title, "start", ' font-size="16" font-weight="bold"'))
    return parts


def draw_line(line, color, x_axis, y_axis):
    places = [(x_axis.place(point[0]), y_axis.place(point[1])) for point in line.points]
    parts = []
    for point, (x, _) in zip(line.points, places):
        if len(point) == 4 and (point[2] > 0 or not y_axis.logarithmic):
            parts.append(stroke(x, y_axis.place(point[2]), x, y_axis.place(point[3]), color, 1.5))
    route = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(f'<polyline points="{route}" fill="none" stroke="{color}" stroke-width="2"/>')
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in places]
    return parts


def render(plot):
    """The plot as the text of an SVG file. ValueError if there is nothing to draw."""
    lines = drawable(plot)
    if not lines:
        raise ValueError(f"nothing to draw: {plot.title}")
    points = [point for line in lines for point in line.points]
    ys = [y for point in points for y in (point[1], *point[2:]) if y > 0 or not plot.log_y]
    x_axis = Axis([point[0] for point in points], plot.log_x, LEFT, WIDTH - RIGHT)
    y_axis = Axis(ys, plot.log_y, HEIGHT - BOTTOM, TOP)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
            ' font-family="sans-serif" font-size="12" fill="#222222">'
        ),
        f"<title>{html.escape(plot.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    parts += draw_axes(plot, x_axis, y_axis)
    for number, line in enumerate(lines):
        color = COLORS[number % len(COLORS)]
        parts += draw_line(line, color, x_axis, y_axis)
        y = TOP + 8 + 20 * number
        parts.append(stroke(WIDTH - RIGHT + 14, y, WIDTH - RIGHT + 38, y, color, 3))
        parts.append(text_at(WIDTH - RIGHT + 46, y + 4, line.label, "start"))
    return "\n".join(parts) + "\n</svg>\n"
