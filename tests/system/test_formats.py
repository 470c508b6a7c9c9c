from convnet.system.formats import p_value, points, points_interval


def test_no_end_of_an_interval_is_rounded_to_zero():
    assert points_interval(0.0002658, 0.1297) == "+0.03 to +13.0"
    assert points_interval(-0.00004, 0.1) == "-0.004 to +10.0"
    assert points_interval(0.0, 0.0123) == "0.0 to +1.2"
    assert points_interval(-0.0051, 0.0049) == "-0.5 to +0.5"
    assert points(-0.0002) == "0.0"


def test_p_beside_the_level_shows_its_side():
    assert [p_value(p) for p in (0.0004, 0.0496, 0.0504, 0.0494, 0.0506)] == [
        *("< 0.001", "0.0496", "0.0504", "0.049", "0.051")
    ]
